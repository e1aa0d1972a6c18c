// Grids as the column loops read them: parameters transposed, [.., rows], because rows are the vector lanes.
#pragma once

#include <cstdint>

#include "halftone/core/platform.hpp"
#include "halftone/core/view.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone {

/// Uniform grids: row r at position j decodes with scales(g, r), zeros(g, r), g = group_of_position[j].
template <class S>
struct UniformCells {
  MatrixView<const S> scales;                       ///< [groups, rows]
  MatrixView<const S> zeros;                        ///< [groups, rows]
  const std::int32_t* group_of_position = nullptr;  ///< [width], of the block's columns
  S top = 0;                                        ///< 2^bits − 1

  /// The smallest and the largest value of a row in a group.
  HALFTONE_HOST_DEVICE S lowest(Index group, Index row) const {
    return decode(S(0), scales(group, row), zeros(group, row));
  }
  HALFTONE_HOST_DEVICE S highest(Index group, Index row) const {
    return decode(top, scales(group, row), zeros(group, row));
  }
  /// The cells of the rows from `first` on.
  constexpr UniformCells from_row(Index first) const {
    return {scales.middle_cols(first, scales.cols - first), zeros.middle_cols(first, zeros.cols - first),
            group_of_position, top};
  }
};

/// Binary-coded grids: at position j row r rounds w to level number find_level(w, thresholds(g·(2^k − 1) + ., r)),
/// which has the value levels(g·2^k + ., r) and the code codes(g·2^k + ., r); g = group_of_position[j].
template <class S>
struct BinaryCells {
  MatrixView<const S> levels;                       ///< [groups · 2^bits, rows], ascending inside a group
  MatrixView<const S> thresholds;                   ///< [groups · (2^bits − 1), rows], ascending inside a group
  MatrixView<const std::uint8_t> codes;             ///< [groups · 2^bits, rows]
  const std::int32_t* group_of_position = nullptr;  ///< [width], of the block's columns
  int bits = 0;                                     ///< k, 2 .. 4

  /// The smallest and the largest value of a row in a group.
  HALFTONE_HOST_DEVICE S lowest(Index group, Index row) const { return levels(group << bits, row); }
  HALFTONE_HOST_DEVICE S highest(Index group, Index row) const { return levels(((group + 1) << bits) - 1, row); }
  /// The cells of the rows from `first` on.
  constexpr BinaryCells from_row(Index first) const {
    return {levels.middle_cols(first, levels.cols - first), thresholds.middle_cols(first, thresholds.cols - first),
            codes.middle_cols(first, codes.cols - first), group_of_position, bits};
  }
};

}  // namespace halftone
