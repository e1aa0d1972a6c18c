// Leaf kernel: the gradient of attention for one key head of one window.
//
// As FlashAttention's backward pass (Dao et al. 2022, arXiv 2205.14135, algorithm 4), nothing of size [length, length]
// is kept from the forward pass: the probabilities P of a tile of 32 queries are computed again. Since a tile meets all
// its visible keys at once, as in attention.hpp, its rows are whole: neither the rows' log-sum-exp nor the output is
// needed, and P has the forward pass's bits. With s = scale · q·k, z = cap(s), P = softmax z:
//
//   dV = Pᵀ dO,  dP = dO Vᵀ,  dZ = P (dP − Σ_j P dP),  dS = dZ · cap'(s) · scale,  dQ = dS K,  dK = dSᵀ Q.
//
// Five products, 5 · 2 · head_dim flops per query and visible key. dK and dV sum over the query heads in order, inside
// one unit of work.
#pragma once

#include "halftone/backend/leaf/attention.hpp"
#include "halftone/backend/leaf/nn_backward.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// The buffers of one unit of work, in its scratch; see attention_gradient_scratch.
template <class S>
struct AttentionBuffers {
  Index stride, width;            ///< padded length and head_dim
  S *keys, *values;               ///< transposed [head_dim, stride]
  S *packed_keys, *dk, *dv;       ///< [length, width]
  S *p, *dp, *slopes;             ///< [tile, stride]
  S *tile_q, *tile_dy, *tile_dq;  ///< [tile, width]

  HALFTONE_INLINE explicit AttentionBuffers(const AttentionHead<S>& head)
      : stride(padded<S>(head.length)), width(padded<S>(head.head_dim)) {
    S* next = head.scratch;
    const auto take = HALFTONE_REGISTERS(Index count) {
      S* taken = next;
      next += count;
      return taken;
    };
    const Index turned = head.head_dim * stride, packed = head.length * width;
    keys = take(turned), values = take(turned);
    packed_keys = take(packed), dk = take(packed), dv = take(packed);
    p = take(attention_tile * stride), dp = take(attention_tile * stride), slopes = take(attention_tile * stride);
    tile_q = take(attention_tile * width), tile_dy = take(attention_tile * width);
    tile_dq = take(attention_tile * width);
  }
};

/// Queries of a tile, and the keys from `first` on that any of them sees: `span` of them are worked on, a multiple of
/// the lanes, `keys` of them exist.
struct AttentionTile {
  Index query, rows, first, keys, span;
};

/// scores [span] of one query -> its probabilities; slopes [span], unless null: derivative of the cap.
template <class S>
HALFTONE_INLINE void probabilities(const AttentionHead<S>& head, const AttentionTile& tile, Index query, S* scores,
                                   S* slopes) {
  using L = Lanes<S>;
  scale_scores(head, tile.span, scores);
  if (slopes)
    for (Index j = 0; j < tile.span; j += L::count) {
      const L t = L::load(scores + j) * L(S(1) / head.soft_cap);  // tanh; its derivative is 1 − tanh²
      (L(S(1)) - t * t).store(slopes + j);
    }
  const L sum(exponentials(tile.first, tile.span, visible_keys(head, query), scores));
  for (Index j = 0; j < tile.span; j += L::count) (L::load(scores + j) / sum).store(scores + j);
}

/// dp [span] becomes dS; slopes may be null.
template <class S>
HALFTONE_INLINE void score_gradient(S scale, Index span, const S* p, const S* slopes, S* dp) {
  using L = Lanes<S>;
  L products(S(0));
  for (Index j = 0; j < span; j += L::count) products = multiply_add(L::load(p + j), L::load(dp + j), products);
  const L mean(lane_sum(products)), factor(scale);
  for (Index j = 0; j < span; j += L::count) {
    const L dz = L::load(p + j) * (L::load(dp + j) - mean) * factor;
    (slopes ? dz * L::load(slopes + j) : dz).store(dp + j);
  }
}

/// One tile of the query head whose q and dy start at the given addresses.
template <class S>
HALFTONE_INLINE void attend_backward_tile(const AttentionGradient<S>& g, const AttentionBuffers<S>& b,
                                          const AttentionTile& tile, const S* q, const S* dy, S* dq) {
  const AttentionHead<S>& head = g.head;
  const Index stride = b.stride, width = b.width, rows = tile.rows, dim = head.head_dim;
  S* const slopes = head.soft_cap > 0 ? b.slopes : nullptr;
  pack_tokens(q + tile.query * head.q_stride, head.q_stride, rows, dim, width, b.tile_q);
  pack_tokens(dy + tile.query * g.dy_stride, g.dy_stride, rows, dim, width, b.tile_dy);
  small_product(rows, tile.span, dim, b.tile_q, width, b.keys + tile.first, stride, b.p, stride);
  for (Index r = 0; r < rows; ++r)
    probabilities(head, tile, tile.query + r, b.p + r * stride, slopes ? slopes + r * stride : nullptr);
  if (g.dv)
    small_product<SmallProduct::TransposedOnto>(tile.keys, width, rows, b.p, stride, b.tile_dy, width,
                                                b.dv + tile.first * width, width);
  if (!g.dq && !g.dk) return;
  small_product(rows, tile.span, dim, b.tile_dy, width, b.values + tile.first, stride, b.dp, stride);
  for (Index r = 0; r < rows; ++r)
    score_gradient(head.scale, tile.span, b.p + r * stride, slopes ? slopes + r * stride : nullptr, b.dp + r * stride);
  if (g.dk)
    small_product<SmallProduct::TransposedOnto>(tile.keys, width, rows, b.dp, stride, b.tile_q, width,
                                                b.dk + tile.first * width, width);
  if (!g.dq) return;
  small_product(rows, width, tile.keys, b.dp, stride, b.packed_keys + tile.first * width, width, b.tile_dq, width);
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < dim; c += lane_count<S>)
      put(Lanes<S>::load(b.tile_dq + r * width + c), g.add_q, dq + (tile.query + r) * g.dq_stride + c, dim - c);
}

template <class S>
void attend_backward(const AttentionGradient<S>& g) {
  const AttentionHead<S>& head = g.head;
  const Index length = head.length, dim = head.head_dim;
  const AttentionBuffers<S> b(head);
  transpose_tokens(head.k, head.k_stride, length, dim, b.stride, b.keys);
  transpose_tokens(head.v, head.v_stride, length, dim, b.stride, b.values);
  pack_tokens(head.k, head.k_stride, length, dim, b.width, b.packed_keys);
  for (Index i = 0; i < length * b.width; ++i) b.dk[i] = b.dv[i] = S(0);
  for (Index h = 0; h < g.group; ++h)
    for (Index query = 0; query < length; query += attention_tile) {
      const Index rows = query + attention_tile < length ? attention_tile : length - query;
      const Index first = visible_keys(head, query).first / lane_count<S> * lane_count<S>;
      const Index last = visible_keys(head, query + rows - 1).last;
      const AttentionTile tile{query, rows, first, last - first, padded<S>(last - first)};
      attend_backward_tile(g, b, tile, head.q + h * dim, g.dy + h * dim, g.dq ? g.dq + h * dim : nullptr);
    }
  for (Index j = 0; j < length; ++j)
    for (Index c = 0; c < dim; c += lane_count<S>) {
      if (g.dk) put(Lanes<S>::load(b.dk + j * b.width + c), g.add_k, g.dk + j * g.dk_stride + c, dim - c);
      if (g.dv) put(Lanes<S>::load(b.dv + j * b.width + c), g.add_v, g.dv + j * g.dv_stride + c, dim - c);
    }
}

}  // namespace halftone::detail::HALFTONE_LEAF
