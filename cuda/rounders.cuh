// The grid of one row in one group, as a column loop on the device rounds with it: load(cells, group, row) when the
// group changes, then round(w, code), which returns the value that w is rounded to and sets its code.
#pragma once

#include "halftone/backend/cells.hpp"
#include "launch.cuh"

namespace halftone {

template <class S>
struct UniformRounder {
  using Cells = UniformCells<S>;
  S scale, zero, top;

  HALFTONE_HOST_DEVICE void load(const Cells& cells, Index group, Index row) {
    scale = cells.scales(group, row);
    zero = cells.zeros(group, row);
    top = cells.top;
  }
  HALFTONE_HOST_DEVICE S round(S w, std::uint8_t& code) const {
    const S number = encode(w, scale, zero, top);
    code = static_cast<std::uint8_t>(static_cast<std::int32_t>(number));
    return decode(number, scale, zero);
  }
};

/// Rounding takes 2^Bits − 1 comparisons, as find_level does, that carry value and code along; all in registers.
template <class S, int Bits>
struct BinaryRounder {
  using Cells = BinaryCells<S>;
  static constexpr int count = 1 << Bits;
  S levels[count], thresholds[count - 1];
  std::uint32_t codes[(count + 7) / 8];  ///< four bits each

  HALFTONE_HOST_DEVICE void load(const Cells& cells, Index group, Index row) {
    HALFTONE_UNROLL
    for (int i = 0; i < (count + 7) / 8; ++i) codes[i] = 0;
    HALFTONE_UNROLL
    for (int m = 0; m < count; ++m) {
      levels[m] = cells.levels(group * count + m, row);
      codes[m / 8] |= static_cast<std::uint32_t>(cells.codes(group * count + m, row)) << (m % 8 * 4);
      if (m + 1 < count) thresholds[m] = cells.thresholds(group * (count - 1) + m, row);
    }
  }
  HALFTONE_HOST_DEVICE S round(S w, std::uint8_t& code) const {
    S value = levels[0];
    std::uint32_t chosen = codes[0] & 15u;
    HALFTONE_UNROLL
    for (int m = 0; m + 1 < count; ++m) {
      const bool above = w > thresholds[m];
      value = above ? levels[m + 1] : value;
      chosen = above ? codes[(m + 1) / 8] >> ((m + 1) % 8 * 4) & 15u : chosen;
    }
    code = static_cast<std::uint8_t>(chosen);
    return value;
  }
};

/// use(rounder) with the rounder that cells ask for; its value means nothing.
template <class S, class Use>
void with_rounder(const UniformCells<S>&, Use&& use) {
  use(UniformRounder<S>());
}
template <class S, class Use>
void with_rounder(const BinaryCells<S>& cells, Use&& use) {
  if (cells.bits == 2)
    use(BinaryRounder<S, 2>());
  else if (cells.bits == 3)
    use(BinaryRounder<S, 3>());
  else
    use(BinaryRounder<S, 4>());
}

/// Most columns that a kernel of a block of columns takes: what fits in the registers of a team.
inline constexpr Index block_columns = 128;

/// The groups of a block's columns, carried in a kernel's parameters: no copy to the device for every block.
struct BlockGroups {
  std::int32_t of[block_columns];
};
inline BlockGroups block_groups(const std::int32_t* group_of_position, Index width) {
  BlockGroups groups{};
  for (Index j = 0; j < width; ++j) groups.of[j] = group_of_position[j];
  return groups;
}

}  // namespace halftone
