// Primitives of refinement (solver/refine.hpp): moves of codes, and what a refit of scales needs.
//
// Throughout: Q [rows, in] the quantised values, T their target, H [in, in] symmetric with a positive diagonal,
// G = (Q − T) H, kept up to date by whoever changes Q; the objective is tr((Q − T) H (Q − T)ᵀ) = Σ (Q − T) ∘ G.
#pragma once

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
template <class S>
Index descend_columns(const Context<Cpu>& context, const UniformCells<S>& cells, const RefinedColumns<S>& block);

/// out(i, :) = A(rows[i], :).  A [.., cols], out [count, cols].
template <class S>
void gather_rows(const Context<Cpu>& context, MatrixView<const S> A, const std::int32_t* rows, MatrixView<S> out);

/// Σ (Q − T) ∘ G in double; the order of the sum depends on the shape alone. All [rows, in].
template <class S>
double residual_product(const Context<Cpu>& context, MatrixView<const S> Q, MatrixView<const S> T,
                        MatrixView<const S> G);

/// out(r, t) = code − zero of row r and column columns[t], all of one group. codes [rows, in], out [rows, width];
/// zeros [rows].
template <class S>
void centred_codes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                   const S* zeros, MatrixView<S> out);

/// The best scale of every row of one group for its codes. C [rows, width] the centred codes of the group's `columns`,
/// ascending; P = C · H[columns, :], either all of it [rows, in] or its columns `columns` [rows, width]. Changing a
/// scale by d changes the row's objective by 2 b d + a d² with a = Σ C ∘ P, b = Σ G ∘ C: the scale becomes s − b / a,
/// rounded to `type`, where that lowers the objective. scales [rows] in, out; steps [rows] out: new minus old scale; Q
/// [rows, in] in, out. Returns the rows that changed.
template <class S>
Index refit_scales(const Context<Cpu>& context, MatrixView<const S> C, MatrixView<const S> P, MatrixView<const S> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q);

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
