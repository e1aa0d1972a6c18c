// Leaf kernel: attention of one query head in one window.
//
// Tiles of 32 queries meet the keys that any of them sees. scores = q·kᵀ and output = p·v are the same small product,
// C [m, n] = A [m, k] · B [k, n] with n in whole lanes: k is transposed and v copied once, both padded with zeros. An
// element of C is summed over k in order, and what a query does not see has p = 0 exactly: a token's output depends on
// neither tile nor padding. 2 · 2 · head_dim flops per query and visible key; scratch: two copies of k and v's size.
#pragma once

#include "halftone/backend/leaf/nn.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Registers of the small product's tile: rows of A, and registers of B's columns. AVX-512 has 32, the others 16.
inline constexpr int tile_rows = 4;
inline constexpr int wide_registers = vector_bytes == 64 ? 4 : 2;

/// What a small product does: C = A · B, or C += Aᵀ · B.
enum class SmallProduct { Plain, TransposedOnto };

/// C [rows, registers · lanes] of a small product; k: its inner size.
template <SmallProduct kind, int rows, int registers, class S>
HALFTONE_INLINE void product_tile(const S* A, Index lda, const S* B, Index ldb, Index k, S* C, Index ldc) {
  constexpr Index lanes = vector_lanes<S>;
  constexpr bool plain = kind == SmallProduct::Plain;
  Vector<S> sums[rows][registers] = {};
  if constexpr (!plain)
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < registers; ++v) sums[r][v] = vector_at(C + r * ldc + v * lanes).v;
  for (Index i = 0; i < k; ++i)
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < registers; ++v)
        sums[r][v] += A[plain ? r * lda + i : i * lda + r] * vector_at(B + i * ldb + v * lanes).v;
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < registers; ++v) vector_at(C + r * ldc + v * lanes).v = sums[r][v];
}

/// All rows of C for a few registers of columns.
template <SmallProduct kind, int registers, class S>
HALFTONE_INLINE void product_columns(Index m, const S* A, Index lda, const S* B, Index ldb, Index k, S* C, Index ldc) {
  const Index step = kind == SmallProduct::Plain ? lda : 1;  // from one row of C to the next
  Index row = 0;
  for (; row + tile_rows <= m; row += tile_rows)
    product_tile<kind, tile_rows, registers>(A + row * step, lda, B, ldb, k, C + row * ldc, ldc);
  for (; row < m; ++row) product_tile<kind, 1, registers>(A + row * step, lda, B, ldb, k, C + row * ldc, ldc);
}

/// C [m, n] = A [m, k] · B [k, n], or C += Aᵀ · B with A [k, m]; n is a multiple of the lanes.
template <SmallProduct kind = SmallProduct::Plain, class S>
void small_product(Index m, Index n, Index k, const S* A, Index lda, const S* B, Index ldb, S* C, Index ldc) {
  constexpr Index lanes = vector_lanes<S>, wide = wide_registers * lanes;
  Index col = 0;
  for (; col + wide <= n; col += wide) product_columns<kind, wide_registers>(m, A, lda, B + col, ldb, k, C + col, ldc);
  for (; col + 2 * lanes <= n; col += 2 * lanes) product_columns<kind, 2>(m, A, lda, B + col, ldb, k, C + col, ldc);
  for (; col < n; col += lanes) product_columns<kind, 1>(m, A, lda, B + col, ldb, k, C + col, ldc);
}

/// Keys [first, last) that a query sees.
struct Visible {
  Index first, last;
};
template <class S>
HALFTONE_INLINE Visible visible_keys(const AttentionHead<S>& head, Index query) {
  Visible keys{0, head.causal ? query + 1 : head.length};
  if (head.window > 0 && head.window <= query) keys.first = query - head.window + 1;
  if (head.window > 0 && head.window < keys.last - query) keys.last = query + head.window;
  return keys;
}

/// scores [width], a multiple of the lanes, are scaled and capped.
template <class S>
HALFTONE_INLINE void scale_scores(const AttentionHead<S>& head, Index width, S* scores) {
  using L = Lanes<S>;
  for (Index j = 0; j < width; j += L::count) {
    const L score = L::load(scores + j) * L(head.scale);
    (head.soft_cap > 0 ? capped(score, head.soft_cap) : score).store(scores + j);
  }
}

/// scores [width] of keys first, first + 1, ... become exp(score − largest) of the visible ones and 0 elsewhere.
/// width is a multiple of the lanes. Returns their sum.
template <class S>
HALFTONE_INLINE S exponentials(Index first, Index width, Visible keys, S* scores) {
  using L = Lanes<S>;
  const S nothing = -S(__builtin_inf());
  for (Index j = first; j < keys.first; ++j) scores[j - first] = nothing;
  for (Index j = keys.last; j < first + width; ++j) scores[j - first] = nothing;
  L largest(nothing);
  for (Index j = 0; j < width; j += L::count) largest = larger(L::load(scores + j), largest);
  const L top(lane_largest(largest));
  L sum(S(0));
  for (Index j = 0; j < width; j += L::count) {
    const L p = exp(L::load(scores + j) - top);
    p.store(scores + j);
    sum = sum + p;
  }
  return lane_sum(sum);
}

/// x [rows, cols] transposed, its rows padded with zeros: [cols, stride]. Sixteen tokens at a time, so that they stay
/// in the cache.
template <class S>
HALFTONE_INLINE void transpose_tokens(const S* x, Index x_stride, Index rows, Index cols, Index stride, S* to) {
  constexpr Index block = lane_count<S>;
  for (Index first = 0; first < stride; first += block) {
    const Index count = first + block < rows ? block : rows - first;
    const S* source = x + first * x_stride;
    for (Index c = 0; c < cols; ++c) {
      S* target = to + c * stride + first;
      if (count == block)
        for (Index j = 0; j < block; ++j) target[j] = source[j * x_stride + c];
      else
        for (Index j = 0; j < block; ++j) target[j] = j < count ? source[j * x_stride + c] : S(0);
    }
  }
}

/// x [rows, cols], its rows side by side and padded with zeros: [rows, width].
template <class S>
HALFTONE_INLINE void pack_tokens(const S* x, Index x_stride, Index rows, Index cols, Index width, S* to) {
  for (Index j = 0; j < rows; ++j)
    for (Index c = 0; c < width; c += lane_count<S>)
      load_some(x + j * x_stride + c, cols - c).store(to + j * width + c);
}

template <class S>
void attend(const AttentionHead<S>& head) {
  using L = Lanes<S>;
  const Index stride = padded<S>(head.length), width = padded<S>(head.head_dim);
  S* const keys = head.scratch;                         // [head_dim, stride]
  S* const values = keys + head.head_dim * stride;      // [length, width]
  S* const scores = values + head.length * width;       // [tile, stride]
  S* const outputs = scores + attention_tile * stride;  // [tile, width]
  transpose_tokens(head.k, head.k_stride, head.length, head.head_dim, stride, keys);
  pack_tokens(head.v, head.v_stride, head.length, head.head_dim, width, values);
  for (Index query = 0; query < head.length; query += attention_tile) {
    const Index rows = query + attention_tile < head.length ? attention_tile : head.length - query;
    const Index first = visible_keys(head, query).first / L::count * L::count;
    const Index last = visible_keys(head, query + rows - 1).last, span = padded<S>(last - first);
    small_product(rows, span, head.head_dim, head.q + query * head.q_stride, head.q_stride, keys + first, stride,
                  scores, stride);
    S sums[attention_tile];
    for (Index r = 0; r < rows; ++r) {
      scale_scores(head, span, scores + r * stride);
      sums[r] = exponentials(first, span, visible_keys(head, query + r), scores + r * stride);
    }
    small_product(rows, width, last - first, scores, stride, values + first * width, width, outputs, width);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < head.head_dim; ++c)
        head.y[(query + r) * head.y_stride + c] = outputs[r * width + c] / sums[r];
  }
}

}  // namespace halftone::detail::HALFTONE_LEAF
