// Leaf kernel: attention of one query head in one window.
//
// Tiles of 32 queries meet the keys that any of them sees. scores = q·kᵀ and output = p·v are the same small product,
// C [m, n] = A [m, k] · B [k, n] with n in whole lanes: k is transposed and v copied once, both padded with zeros. An
// element of C is summed over k in order, and what a query does not see has p = 0 exactly: a token's output depends on
// neither tile nor padding. 2 · 2 · head_dim flops per query and visible key; scratch: two copies of k and v's size.
#pragma once

#include "halftone/backend/leaf/nn.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Tile of registers of the small product: rows of A, and 64-byte packs of B. At most 16 vectors, 8 where there are 16.
inline constexpr int wide_packs = vector_bytes == 64 ? 4 : 1;
inline constexpr int few_packs = vector_bytes == 64 ? 2 : 1;
inline constexpr int tile_rows = vector_bytes == 16 ? 2 : 4;

/// C [rows, packs · lanes] = A [rows, k] · B [k, packs · lanes].
template <int rows, int packs, class S>
HALFTONE_INLINE void product_tile(const S* A, Index lda, const S* B, Index ldb, Index k, S* C, Index ldc) {
  using L = Lanes<S>;
  L sums[rows][packs];
  for (auto& row : sums)
    for (L& sum : row) sum = L(S(0));
  for (Index i = 0; i < k; ++i) {
    L b[packs];
    for (int p = 0; p < packs; ++p) b[p] = L::load(B + i * ldb + p * L::count);
    for (int r = 0; r < rows; ++r) {
      const L a(A[r * lda + i]);
      for (int p = 0; p < packs; ++p) sums[r][p] = L::multiply_add(a, b[p], sums[r][p]);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int p = 0; p < packs; ++p) sums[r][p].store(C + r * ldc + p * L::count);
}

/// All rows of C for `packs` packs of columns.
template <int packs, class S>
HALFTONE_INLINE void product_columns(Index m, const S* A, Index lda, const S* B, Index ldb, Index k, S* C, Index ldc) {
  Index row = 0;
  for (; row + tile_rows <= m; row += tile_rows)
    product_tile<tile_rows, packs>(A + row * lda, lda, B, ldb, k, C + row * ldc, ldc);
  for (; row < m; ++row) product_tile<1, packs>(A + row * lda, lda, B, ldb, k, C + row * ldc, ldc);
}

/// C [m, n] = A [m, k] · B [k, n]; n is a multiple of the lanes.
template <class S>
void small_product(Index m, Index n, Index k, const S* A, Index lda, const S* B, Index ldb, S* C, Index ldc) {
  constexpr Index lanes = Lanes<S>::count;
  Index col = 0;
  for (; col + wide_packs * lanes <= n; col += wide_packs * lanes)
    product_columns<wide_packs>(m, A, lda, B + col, ldb, k, C + col, ldc);
  for (; col + few_packs * lanes <= n; col += few_packs * lanes)
    product_columns<few_packs>(m, A, lda, B + col, ldb, k, C + col, ldc);
  for (; col < n; col += lanes) product_columns<1>(m, A, lda, B + col, ldb, k, C + col, ldc);
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

/// scores [width] of keys first, first + 1, ... become exp(score − largest) of the visible ones and 0 elsewhere.
/// width is a multiple of the lanes. Returns their sum.
template <class S>
HALFTONE_INLINE S exponentials(const AttentionHead<S>& head, Index first, Index width, Visible keys, S* scores) {
  using L = Lanes<S>;
  for (Index j = 0; j < width; j += L::count) {
    const L score = L::load(scores + j) * L(head.scale);
    (head.soft_cap > 0 ? capped(score, head.soft_cap) : score).store(scores + j);
  }
  const S nothing = S(-__builtin_inff());
  for (Index j = first; j < keys.first; ++j) scores[j - first] = nothing;
  for (Index j = keys.last; j < first + width; ++j) scores[j - first] = nothing;
  L largest(nothing);
  for (Index j = 0; j < width; j += L::count) largest = L::larger(L::load(scores + j), largest);
  const L top(largest.largest());
  L sum(S(0));
  for (Index j = 0; j < width; j += L::count) {
    const L p = exp(L::load(scores + j) - top);
    p.store(scores + j);
    sum = sum + p;
  }
  return sum.sum();
}

/// k transposed and v, padded with zeros.
template <class S>
HALFTONE_INLINE void pack_keys(const AttentionHead<S>& head, S* keys, Index keys_stride, S* values, Index width) {
  for (Index c = 0; c < head.head_dim; ++c) {
    for (Index j = 0; j < head.length; ++j) keys[c * keys_stride + j] = head.k[j * head.k_stride + c];
    for (Index j = head.length; j < keys_stride; ++j) keys[c * keys_stride + j] = S(0);
  }
  for (Index j = 0; j < head.length; ++j)
    for (Index c = 0; c < width; ++c) values[j * width + c] = c < head.head_dim ? head.v[j * head.v_stride + c] : S(0);
}

template <class S>
void attend(const AttentionHead<S>& head) {
  using L = Lanes<S>;
  const Index stride = padded<S>(head.length), width = padded<S>(head.head_dim);
  S* const keys = head.scratch;                         // [head_dim, stride]
  S* const values = keys + head.head_dim * stride;      // [length, width]
  S* const scores = values + head.length * width;       // [tile, stride]
  S* const outputs = scores + attention_tile * stride;  // [tile, width]
  pack_keys(head, keys, stride, values, width);
  for (Index query = 0; query < head.length; query += attention_tile) {
    const Index rows = query + attention_tile < head.length ? attention_tile : head.length - query;
    const Index first = visible_keys(head, query).first / L::count * L::count;
    const Index last = visible_keys(head, query + rows - 1).last, span = padded<S>(last - first);
    small_product(rows, span, head.head_dim, head.q + query * head.q_stride, head.q_stride, keys + first, stride,
                  scores, stride);
    S sums[attention_tile];
    for (Index r = 0; r < rows; ++r)
      sums[r] = exponentials(head, first, span, visible_keys(head, query + r), scores + r * stride);
    small_product(rows, width, last - first, scores, stride, values + first * width, width, outputs, width);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < head.head_dim; ++c)
        head.y[(query + r) * head.y_stride + c] = outputs[r * width + c] / sums[r];
  }
}

}  // namespace halftone::detail::HALFTONE_LEAF
