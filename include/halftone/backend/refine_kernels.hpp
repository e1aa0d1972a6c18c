// Leaf kernels of refinement. See cpu_kernels.hpp for the rules.
#pragma once

#include <cstdint>

#include "halftone/core/view.hpp"

namespace halftone {
enum class ScaleType : std::int32_t;
}

namespace halftone::detail {

/// A block of columns whose codes move (backend/refine.hpp); its matrices start at the first row of the piece. Those of
/// [.., in] are addressed by column number: column t of the block is column columns[t] there.
template <class S>
struct RefineBlock {
  Index width;
  const std::int32_t* columns;  ///< [width]
  const S *H, *G;               ///< [width, width] symmetric; [rows, in]
  Index ldh, ldg;
  S *Q, *E;  ///< [rows, in]; [rows, width]
  Index ldq, lde;
  std::uint8_t* codes;  ///< [rows, in]
  Index ldcodes;
  const std::uint8_t* kept;  ///< [in] or null
  ScaleType kept_type;
  const S *scales, *zeros;  ///< [groups, rows]
  Index ld_scales, ld_zeros;
  const std::int32_t* group_of_column;  ///< [in]
  S top;
};

template <class S>
struct RefineKernels {
  /// descend_columns on `rows` rows; returns the moves made. `workspace`: 4 · width · row_lanes<S> numbers, 64-byte
  /// aligned.
  Index (*descend)(const RefineBlock<S>& block, Index rows, S* workspace);
};

}  // namespace halftone::detail
