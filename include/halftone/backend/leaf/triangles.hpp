// Leaf kernels of the factorisation: one diagonal block, and rows solved against it.
#pragma once

#include "halftone/backend/leaf/lanes.hpp"

namespace halftone::detail::HALFTONE_LEAF {

HALFTONE_HOST_DEVICE float square_root(float x) { return __builtin_sqrtf(x); }
HALFTONE_HOST_DEVICE double square_root(double x) { return __builtin_sqrt(x); }
template <class S>
inline constexpr S largest_finite = sizeof(S) == 4 ? static_cast<S>(__FLT_MAX__) : static_cast<S>(__DBL_MAX__);

/// See LinearKernels::factor. Right-looking, from the last column to the first: elementwise updates, no sums.
template <class S>
Index factor(Index n, S* A, Index lda, S* HALFTONE_RESTRICT column) {
  for (Index j = n - 1; j >= 0; --j) {
    const S pivot = A[j * lda + j];
    if (!(pivot > S(0) && pivot <= largest_finite<S>)) return j;
    const S root = square_root(pivot);
    A[j * lda + j] = root;
    for (Index i = 0; i < j; ++i) column[i] = A[i * lda + j] /= root;
    for (Index i = 0; i < j; ++i) {
      S* HALFTONE_RESTRICT row = A + i * lda;
      const S factor = column[i];
      for (Index l = i; l < j; ++l) row[l] -= factor * column[l];
    }
  }
  return -1;
}

/// Coefficient with which solved column j enters column c, for upper R: xR = w needs R(j, c), xRᵀ = w needs R(c, j).
/// In the second case columns are solved from the last to the first: j and c count from the end.
template <class S, bool Transposed>
HALFTONE_HOST_DEVICE S coefficient(const S* R, Index ldr, Index n, Index j, Index c) {
  return Transposed ? R[(n - 1 - c) * ldr + (n - 1 - j)] : R[j * ldr + c];
}

/// Solves a tile in place, eight columns at a time: first among themselves, then all eight out of every later column.
template <class S, bool Transposed>
HALFTONE_HOST_DEVICE void solve_tile(Index n, const S* R, Index ldr, S* tile) {
  constexpr Index lanes = row_lanes<S>, step = vector_lanes<S>, depth = 8;
  const auto at = [&](Index c) __attribute__((always_inline)) { return tile + (Transposed ? n - 1 - c : c) * lanes; };
  for (Index j0 = 0; j0 < n; j0 += depth) {
    const Index j1 = j0 + depth < n ? j0 + depth : n;
    for (Index j = j0; j < j1; ++j) {
      const S diagonal = coefficient<S, Transposed>(R, ldr, n, j, j);
      for (Index l = 0; l < lanes; l += step) vector_at(at(j) + l).v /= diagonal;
      for (Index c = j + 1; c < j1; ++c) {
        const S r = coefficient<S, Transposed>(R, ldr, n, j, c);
        for (Index l = 0; l < lanes; l += step) vector_at(at(c) + l).v -= r * vector_at(at(j) + l).v;
      }
    }
    if (j1 - j0 < depth) return;
    for (Index l = 0; l < lanes; l += 2 * step) {
      Vector<S> x[depth][2];
      for (Index d = 0; d < depth; ++d)
        for (int half = 0; half < 2; ++half) x[d][half] = vector_at(at(j0 + d) + l + half * step).v;
      for (Index c = j1; c < n; ++c) {
        Vector<S> first = vector_at(at(c) + l).v, second = vector_at(at(c) + l + step).v;
        for (Index d = 0; d < depth; ++d) {
          const S r = coefficient<S, Transposed>(R, ldr, n, j0 + d, c);
          first -= r * x[d][0];
          second -= r * x[d][1];
        }
        vector_at(at(c) + l).v = first;
        vector_at(at(c) + l + step).v = second;
      }
    }
  }
}

/// See LinearKernels::solve_rows.
template <class S>
void solve_rows(bool transposed, Index n, const S* R, Index ldr, Index rows, S* W, Index ldw, S* tile) {
  constexpr Index lanes = row_lanes<S>;
  for (Index first = 0; first < rows; first += lanes) {
    const Index count = rows - first < lanes ? rows - first : lanes;
    S* const w = W + first * ldw;
    load_rows(w, ldw, count, n, tile);
    if (transposed)
      solve_tile<S, true>(n, R, ldr, tile);
    else
      solve_tile<S, false>(n, R, ldr, tile);
    store_rows(tile, count, n, w, ldw);
  }
}

}  // namespace halftone::detail::HALFTONE_LEAF
