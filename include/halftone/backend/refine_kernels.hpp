// Leaf kernels of refinement. See cpu_kernels.hpp for the rules.
#pragma once

#include "halftone/backend/cells.hpp"

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
};

/// Columns that a search takes at a time: whole vectors of every instruction set.
inline constexpr Index search_padding = 16;

/// How far a search goes in one row of a block.
struct SearchLimits {
  Index steps;     ///< moves at most
  Index patience;  ///< moves without a new best state after which it gives up
  Index rest;      ///< moves for which a column rests after its own
};

template <class S>
struct RefineKernels {
  /// descend_columns on `rows` rows, cells from the first of them on, their groups by column of the matrix; returns the
  /// moves made. `workspace`: 4 · width · row_lanes<S> numbers, 64-byte aligned.
  Index (*descend)(const RefineBlock<S>& block, const UniformCells<S>& cells, Index rows, S* workspace);
  Index (*descend_binary)(const RefineBlock<S>& block, const BinaryCells<S>& cells, Index rows, S* workspace);

  /// search_columns on `rows` rows; returns the codes changed. The rows of H are padded with zeros to ldh numbers, a
  /// multiple of search_padding. `workspace`: 7 · ldh + limits.steps numbers, 64-byte aligned.
  Index (*search)(const RefineBlock<S>& block, const UniformCells<S>& cells, const SearchLimits& limits, Index rows,
                  S* workspace);
  Index (*search_binary)(const RefineBlock<S>& block, const BinaryCells<S>& cells, const SearchLimits& limits,
                         Index rows, S* workspace);
};

}  // namespace halftone::detail
