// The grids of a tile's rows in one group, a lane a row: what a column loop rounds with.
//
// Every column loop is a template over one of these: load(cells, group, row, count) when the group changes, then
// round(lane, w, code), which returns the value that w is rounded to and sets its code. Lanes beyond `count` have grids
// that keep zeros zero.
#pragma once

#include "halftone/backend/cells.hpp"
#include "halftone/backend/leaf/lanes.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone::detail::HALFTONE_LEAF {

template <class S>
struct UniformLanes {
  using Cells = UniformCells<S>;
  S scales[row_lanes<S>], zeros[row_lanes<S>], top = 0;

  HALFTONE_HOST_DEVICE void load(const Cells& cells, Index group, Index row, Index count) {
    top = cells.top;
    const S* const scale = cells.scales.data + group * cells.scales.stride + row;
    const S* const zero = cells.zeros.data + group * cells.zeros.stride + row;
    for (Index l = 0; l < row_lanes<S>; ++l) {
      scales[l] = l < count ? scale[l] : S(1);
      zeros[l] = l < count ? zero[l] : S(0);
    }
  }
  HALFTONE_HOST_DEVICE S round(Index lane, S w, S& code) const {
    code = encode(w, scales[lane], zeros[lane], top);
    return decode(code, scales[lane], zeros[lane]);
  }
};

/// Rounding takes 2^Bits − 1 comparisons, as find_level does, that carry value and code along.
template <class S, int Bits>
struct BinaryLanes {
  using Cells = BinaryCells<S>;
  static constexpr Index count_levels = Index{1} << Bits;
  S levels[count_levels][row_lanes<S>], codes[count_levels][row_lanes<S>];
  S thresholds[count_levels - 1][row_lanes<S>];

  HALFTONE_HOST_DEVICE void load(const Cells& cells, Index group, Index row, Index count) {
    for (Index m = 0; m < count_levels; ++m) {
      const S* const level = cells.levels.data + (group * count_levels + m) * cells.levels.stride + row;
      const std::uint8_t* const code = cells.codes.data + (group * count_levels + m) * cells.codes.stride + row;
      for (Index l = 0; l < row_lanes<S>; ++l) {
        levels[m][l] = l < count ? level[l] : S(0);
        codes[m][l] = l < count ? static_cast<S>(code[l]) : S(0);
      }
    }
    for (Index m = 0; m + 1 < count_levels; ++m) {
      const S* const threshold =
          cells.thresholds.data + (group * (count_levels - 1) + m) * cells.thresholds.stride + row;
      for (Index l = 0; l < row_lanes<S>; ++l) thresholds[m][l] = l < count ? threshold[l] : S(0);
    }
  }
  HALFTONE_HOST_DEVICE S round(Index lane, S w, S& code) const {
    S value = levels[0][lane], chosen = codes[0][lane];
    for (Index m = 0; m + 1 < count_levels; ++m) {
      const bool above = w > thresholds[m][lane];
      value = above ? levels[m + 1][lane] : value;
      chosen = above ? codes[m + 1][lane] : chosen;
    }
    code = chosen;
    return value;
  }
};

}  // namespace halftone::detail::HALFTONE_LEAF
