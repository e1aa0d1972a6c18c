// Leaf kernels: matrix products on packed panels.
//
// The left factor is cut into panels of left_panel rows, the right one into panels of right_panel columns; a panel is
// stored as [k][rows or columns], padded with zeros. A micro-tile of left_panel x right_panel numbers of C stays in
// registers while k runs: per step 3 loads and left_panel broadcasts feed 3 · left_panel multiply-adds, so that
// arithmetic and not loading is the limit. Sums run through k in pieces of `depth`, so an element of C does not depend
// on how the output was cut.
#pragma once

#include "halftone/backend/leaf/lanes.hpp"

namespace halftone::detail::HALFTONE_LEAF {

#if defined(__AVX512F__) || defined(__aarch64__)
inline constexpr Index left_panel = 8;  // of 32 registers: 24 sums, 3 of B, 1 of A
#else
inline constexpr Index left_panel = 4;  // of 16 registers: 12 sums, 3 of B, 1 of A
#endif
template <class S>
inline constexpr Index right_panel = 3 * vector_lanes<S>;
/// Steps of k between two visits to C: a panel of B of this depth stays in the first-level cache.
inline constexpr Index depth = 192;

/// Panels of `width` from X, whose element (i of count, p of k) is X[i · ldx + p] or, `transposed`, X[p · ldx + i].
template <class S, Index width>
HALFTONE_HOST_DEVICE void pack_panels(bool transposed, Index count, Index k, const S* X, Index ldx,
                                      S* HALFTONE_RESTRICT panels) {
  for (Index first = 0; first < count; first += width, panels += k * width) {
    const Index used = count - first < width ? count - first : width;
    if (used < width)
      for (Index i = 0; i < k * width; ++i) panels[i] = S(0);
    if (transposed && used == width) {
      for (Index p = 0; p < k; ++p)
        for (Index c = 0; c < width; ++c) panels[p * width + c] = X[p * ldx + first + c];
    } else if (transposed) {
      for (Index p = 0; p < k; ++p)
        for (Index c = 0; c < used; ++c) panels[p * width + c] = X[p * ldx + first + c];
    } else {
      transpose(X + first * ldx, ldx, used, k, panels, width);
    }
  }
}
template <class S>
void pack_left(bool transposed, Index rows, Index k, const S* A, Index lda, S* panels) {
  pack_panels<S, left_panel>(transposed, rows, k, A, lda, panels);
}
template <class S>
void pack_right(bool transposed, Index cols, Index k, const S* B, Index ldb, S* panels) {
  pack_panels<S, right_panel<S>>(!transposed, cols, k, B, ldb, panels);
}

/// C [rows, cols] = alpha · Σ_p a[p] b[p]ᵀ + beta · C for rows <= left_panel, cols <= right_panel.
template <class S>
HALFTONE_HOST_DEVICE void micro_tile(Index k, const S* a, const S* b, Index rows, Index cols, S alpha, S beta, S* C,
                                     Index ldc) {
  constexpr Index lanes = vector_lanes<S>, width = right_panel<S>;
  Vector<S> sums[left_panel][3] = {};
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < cols; c += lanes) __builtin_prefetch(C + r * ldc + c);
  for (Index p = 0; p < k; ++p, a += left_panel, b += width) {
    const Vector<S> b0 = vector_at(b).v, b1 = vector_at(b + lanes).v, b2 = vector_at(b + 2 * lanes).v;
#pragma GCC unroll 8
    for (Index r = 0; r < left_panel; ++r) {
      sums[r][0] += a[r] * b0;
      sums[r][1] += a[r] * b1;
      sums[r][2] += a[r] * b2;
    }
  }
  if (rows == left_panel && cols == width) {
#pragma GCC unroll 8
    for (Index r = 0; r < left_panel; ++r, C += ldc)
#pragma GCC unroll 3
      for (Index v = 0; v < 3; ++v) {
        S* const c = C + v * lanes;
        vector_at(c).v = beta == S(0) ? alpha * sums[r][v] : alpha * sums[r][v] + beta * vector_at(c).v;
      }
    return;
  }
  S edge[left_panel][width];
#pragma GCC unroll 8
  for (Index r = 0; r < left_panel; ++r)
#pragma GCC unroll 3
    for (Index v = 0; v < 3; ++v) vector_at(edge[r] + v * lanes).v = alpha * sums[r][v];
  for (Index r = 0; r < rows; ++r, C += ldc)
    for (Index c = 0; c < cols; ++c) C[c] = beta == S(0) ? edge[r][c] : edge[r][c] + beta * C[c];
}

/// Brings part `part` of `parts` of `count` numbers into the second-level cache. Any address may be asked for.
template <class S>
HALFTONE_HOST_DEVICE void prefetch_share(const S* from, Index count, Index part, Index parts) {
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  const Index lines = count / line / parts + 1;
  for (Index i = part * lines; i < (part + 1) * lines; ++i) __builtin_prefetch(from + i * line, 0, 2);
}

/// See LinearKernels::multiply. While a panel of B is in use, the next one and A's next steps are fetched.
template <class S>
void multiply(Index rows, Index cols, Index k, Index slab, const S* A, const S* B, S alpha, S beta, S* C, Index ldc) {
  constexpr Index width = right_panel<S>;
  const Index row_panels = (rows + left_panel - 1) / left_panel, col_panels = (cols + width - 1) / width;
  for (Index p = 0; p < k; p += depth) {
    const Index steps = k - p < depth ? k - p : depth;
    const S keep = p == 0 ? beta : S(1);
    for (Index j = 0; j < col_panels; ++j) {
      const S* const b = B + (j * slab + p) * width;
      const S* const next_b = j + 1 < col_panels ? b + slab * width : B + (p + steps) * width;
      const Index used_cols = cols - j * width < width ? cols - j * width : width;
      for (Index i = 0; i < row_panels; ++i) {
        const S* const a = A + (i * slab + p) * left_panel;
        const Index used_rows = rows - i * left_panel < left_panel ? rows - i * left_panel : left_panel;
        prefetch_share(next_b, steps * width, i, row_panels);
        prefetch_share(a + steps * left_panel, steps * left_panel, j, col_panels);
        micro_tile(steps, a, b, used_rows, used_cols, alpha, keep, C + i * left_panel * ldc + j * width, ldc);
      }
    }
  }
}

}  // namespace halftone::detail::HALFTONE_LEAF
