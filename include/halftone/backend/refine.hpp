// Primitives of refinement (solver/refine.hpp): moves of codes. Those of refitting scales: refit.hpp.
//
// Throughout: Q [rows, in] the quantised values, T their target, H [in, in] symmetric with a positive diagonal,
// G = (Q − T) H, kept up to date by whoever changes Q; the objective is tr((Q − T) H (Q − T)ᵀ) = Σ (Q − T) ∘ G.
#pragma once

#include "halftone/backend/binary_grid.hpp"
#include "halftone/backend/quantize.hpp"

namespace halftone {

/// A block of columns of the matrix, in the order in which they are visited.
template <class S>
struct RefinedColumns {
  const std::int32_t* columns = nullptr;  ///< [width]
  Index width = 0;
  MatrixView<const S> H;           ///< [width, width] of these columns
  MatrixView<const S> G;           ///< [rows, in] as before the moves
  MatrixView<S> Q;                 ///< [rows, in] in, out
  MatrixView<std::uint8_t> codes;  ///< [rows, in] out where a code moved
  MatrixView<S> E;                 ///< [rows, width] out: old minus new values; the caller's G −= E · H[columns, :]
  const std::uint8_t* kept = nullptr;    ///< [in] nonzero: the column is no code and moves freely; null: none
  ScaleType kept_type = ScaleType::F16;  ///< what kept values are rounded to
};

/// One pass of coordinate descent: columns in sequence, rows in parallel. Column j of a row moves to the nearest value
/// of its grid at w = q − g_j / H_jj, with all moves before it in g, where that lowers the row's objective. In `cells`,
/// group_of_position is indexed by column of the matrix. Returns the number of values that moved.
/// Cells: UniformCells or BinaryCells.
template <class S, template <class> class Cells>
Index descend_columns(const Context<Cpu>& context, const Cells<S>& cells, const RefinedColumns<S>& block);

/// How far search_columns goes, as shares of the block's width.
struct SearchEffort {
  double steps = 1;       ///< moves tried in a row
  double patience = 0.5;  ///< moves without a new best state after which a row is given up
  Index rest = 4;         ///< moves for which a column rests after its own
};

/// Tabu search in every row of the block by itself: moves of one code to the level next to it, the cheapest first, also
/// where they raise the objective; the best state on the way is kept if it lowers the objective. In `cells`,
/// group_of_position is indexed by column of the matrix; no column of the block may be kept. Returns the number of
/// codes that changed. Work for a row: up to steps · width moves of about 10 · width operations.
template <class S, template <class> class Cells>
Index search_columns(const Context<Cpu>& context, const Cells<S>& cells, const RefinedColumns<S>& block,
                     const SearchEffort& effort = {});

/// out(i, :) = A(rows[i], :).  A [.., cols], out [count, cols].
template <class S>
void gather_rows(const Context<Cpu>& context, MatrixView<const S> A, const std::int32_t* rows, MatrixView<S> out);

/// Σ (Q − T) ∘ G in double; the order of the sum depends on the shape alone. All [rows, in].
template <class S>
double residual_product(const Context<Cpu>& context, MatrixView<const S> Q, MatrixView<const S> T,
                        MatrixView<const S> G);

/// A(r, :) += factors[r] · B(r, :), both [rows, cols]; factors [rows].
template <class S>
void add_scaled_rows(const Context<Cpu>& context, MatrixView<S> A, const S* factors, MatrixView<const S> B);

/// A(r, :) *= factors[r]. A [rows, cols]; factors [rows].
template <class S>
void scale_rows(const Context<Cpu>& context, MatrixView<S> A, const S* factors);

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/refine.impl.hpp"
#endif
