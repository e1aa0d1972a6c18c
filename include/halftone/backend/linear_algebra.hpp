// Linear algebra of the CPU backend. Work is cut into tiles of the output; a tile is computed by one thread with one
// fixed order of sums, and the cut depends on the shapes alone: the same bytes for any number of threads.
#pragma once

#include "halftone/backend/cpu.hpp"
#include "halftone/backend/product.hpp"
#include "halftone/backend/shapes.hpp"

namespace halftone {

/// C = alpha · op(A) · op(B) + beta · C.  C [m, n], op(A) [m, k], op(B) [k, n]; all host memory, row-major. beta = 0
/// ignores what C held, NaN included. S is float or double. Throws Status::ShapeMismatch. C must not overlap A or B.
template <class S>
void gemm(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A, MatrixView<const S> B,
          S beta, MatrixView<S> C);

/// As gemm for square C, but only what is on or above the diagonal is defined afterwards; below it anything may be
/// written. About half the work. With A = B = X and a = Transpose::Yes it adds XᵀX.
template <class S>
void gemm_upper(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A,
                MatrixView<const S> B, S beta, MatrixView<S> C);

/// y = x rounded, half to even. T is BFloat16. Equal shapes, or Status::ShapeMismatch.
template <class T>
void narrow(const Context<Cpu>& context, MatrixView<const float> x, MatrixView<T> y);

/// x = −x, of BFloat16.
template <class T>
void negate(const Context<Cpu>& context, MatrixView<T> x);

/// x rounded to bfloat16, in memory that is kept for the next one and grows as it must. The view is of `memory`.
template <class Backend>
MatrixView<const BFloat16> rounded_to_bfloat(const Context<Backend>& context, MatrixView<const float> x,
                                             typename Backend::template Matrix<BFloat16>& memory) {
  if (memory.rows() < x.rows || memory.cols() != x.cols) {
    memory = {};  // before the larger one is there
    memory = context.template allocate<BFloat16>(x.rows, x.cols);
  }
  const MatrixView<BFloat16> y = memory.view().middle_rows(0, x.rows);
  narrow(context, x, y);
  return y;
}
template <class Backend>
typename Backend::template Matrix<BFloat16> rounded_to_bfloat(const Context<Backend>& context,
                                                              MatrixView<const float> x) {
  typename Backend::template Matrix<BFloat16> y;
  rounded_to_bfloat(context, x, y);
  return y;
}

/// C = op(A) · op(B) + (C if `add`) for 16-bit A and B, Float16 or BFloat16: products of two numbers are exact, their
/// sums float. By the processor's own units for bfloat16 where it has them (Context::half_units), else widened tile by
/// tile. Otherwise as gemm above.
template <class T>
requires(sizeof(T) == 2) void gemm(const Context<Cpu>& context, Transpose a, Transpose b, MatrixView<const T> A,
                                   MatrixView<const T> B, bool add, MatrixView<float> C);

/// C += XᵀX on and above the diagonal, for 16-bit X [tokens, n]; what is below it is undefined afterwards.
template <class T>
void add_squares(const Context<Cpu>& context, MatrixView<const T> X, MatrixView<float> C);

/// Copies the upper triangle of square A onto the lower.
template <class S>
void mirror_upper(const Context<Cpu>& context, MatrixView<S> A);

/// One reversed Cholesky factorisation: A = R Rᵀ with R upper, then U = R⁻¹, so that A⁻¹ = Uᵀ U (the papers' factor).
/// In: the upper triangle of A [n, n]. Out: the diagonal panels of U, `panel` columns each from the first on, above
/// them R, zeros below the diagonal; that is U with one_panel. Blocked: n³/3 flops for R, as many for U, n·panel²/3 for
/// its panels alone. Returns −1, or the index of the pivot that was not positive and finite (A is then garbage): that
/// is the fate of the numbers, not an error. Throws Status::ShapeMismatch where A is not square,
/// Status::InvalidArgument for a panel of less than 1.
template <class S>
Index inverse_factor(const Context<Cpu>& context, MatrixView<S> A, Index panel = one_panel);

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/linear_algebra.impl.hpp"
#endif
