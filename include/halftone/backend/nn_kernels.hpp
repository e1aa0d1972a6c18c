// The leaf kernels of a transformer: one row, one head or one run of numbers, on one thread. See cpu_kernels.hpp.
#pragma once

#include "halftone/backend/activation.hpp"
#include "halftone/core/platform.hpp"
#include "halftone/core/view.hpp"

namespace halftone::detail {

/// One query head of one window. Pointers at the head's first channel of the window's first token.
template <class S>
struct AttentionHead {
  const S *q, *k, *v;
  S* y;
  Index q_stride, k_stride, v_stride, y_stride;
  Index length, head_dim;
  S scale, soft_cap;  ///< soft_cap 0: none
  bool causal;
  Index window;  ///< 0: no limit
  S* scratch;    ///< attention_scratch<S>(length, head_dim) numbers, 64-byte aligned
};

/// Queries that are worked on at once.
inline constexpr Index attention_tile = 32;
/// Numbers in 64 bytes: what every leaf loop steps by, with every instruction set.
template <class S>
inline constexpr Index lane_count = 64 / static_cast<Index>(sizeof(S));
template <class S>
HALFTONE_HOST_DEVICE constexpr Index padded(Index n) {
  return (n + lane_count<S> - 1) / lane_count<S> * lane_count<S>;
}
/// k transposed [head_dim, length], v [length, head_dim], scores [tile, length], outputs [tile, head_dim], all padded.
template <class S>
HALFTONE_HOST_DEVICE constexpr Index attention_scratch(Index length, Index head_dim) {
  return padded<S>(length) * (head_dim + attention_tile) + padded<S>(head_dim) * (length + attention_tile);
}

template <class S>
struct NnKernels {
  /// y = weight · x / √(mean x² + epsilon), all [width].
  void (*rms_norm)(const S* x, const S* weight, Index width, S epsilon, S* y);
  /// y = weight · (x − mean) / √(var + epsilon) + bias; bias may be null.
  void (*layer_norm)(const S* x, const S* weight, const S* bias, Index width, S epsilon, S* y);
  /// Rotates the pairs (i, i + pairs) of x [2 · pairs], or (2i, 2i + 1).
  void (*rotate)(const S* x, const S* cosine, const S* sine, Index pairs, S* y);
  void (*rotate_adjacent)(const S* x, const S* cosine, const S* sine, Index pairs, S* y);
  void (*attend)(const AttentionHead<S>& head);
  /// y = act(x), times up unless it is null. [count]
  void (*activate)(Activation activation, const S* x, const S* up, Index count, S* y);
  /// x = cap · tanh(x / cap).
  void (*soft_cap)(S cap, S* x, Index count);
  /// log Σ exp x, and the index of the largest, the first of equal ones.
  double (*log_sum_exp)(const S* x, Index count, Index* largest);
  /// Σ p (log p − log q) with log p = x − x_log_sum, log q = z − z_log_sum.
  double (*divergence)(const S* x, double x_log_sum, const S* z, double z_log_sum, Index count);
};

}  // namespace halftone::detail
