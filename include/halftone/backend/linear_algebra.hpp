// Linear algebra of the CPU backend. Work is cut into tiles of the output; a tile is computed by one thread with one
// fixed order of sums, and the cut depends on the shapes alone: the same bytes for any number of threads.
#pragma once

#include "halftone/backend/cpu.hpp"

namespace halftone {

enum class Transpose : bool { No, Yes };

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

/// Copies the upper triangle of square A onto the lower.
template <class S>
void mirror_upper(const Context<Cpu>& context, MatrixView<S> A);

/// One reversed Cholesky factorisation: A = R Rᵀ with R upper, then U = R⁻¹, so that A⁻¹ = Uᵀ U (the papers' factor).
/// In: the upper triangle of A [n, n]. Out: U in the upper triangle, zeros below. Blocked, n³/3 flops each for R and
/// R⁻¹. Returns −1, or the index of the pivot that was not positive and finite (A is then garbage): that is the fate of
/// the numbers, not an error.
template <class S>
Index inverse_factor(const Context<Cpu>& context, MatrixView<S> A);

}  // namespace halftone

#if !defined(HALFTONE_COMPILED)
#include "halftone/backend/linear_algebra.impl.hpp"
#endif
