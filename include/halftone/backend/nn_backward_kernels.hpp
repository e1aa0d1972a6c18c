// The leaf kernels of gradients: one row, one head or one run of numbers, on one thread. See cpu_kernels.hpp. Every
// `add` says that the gradient is added to what is there instead of written over it.
#pragma once

#include "halftone/backend/nn_kernels.hpp"

namespace halftone::detail {

/// One key head of one window, and the `group` query heads that read it, whose channels follow one another. Pointers at
/// the first of these heads' first channel of the window's first token. A null gradient is not wanted.
template <class S>
struct AttentionGradient {
  AttentionHead<S> head;  ///< y is not used, scratch has attention_gradient_scratch<S>(length, head_dim) numbers
  Index group;
  const S* dy;
  S *dq, *dk, *dv;
  Index dy_stride, dq_stride, dk_stride, dv_stride;
  bool add_q, add_k, add_v;
};

/// k and v transposed [head_dim, length]; k, dk and dv [length, head_dim]; probabilities, their gradient and the slope
/// of the cap [tile, length]; q, dy and dq [tile, head_dim], all padded.
template <class S>
HALFTONE_HOST_DEVICE constexpr Index attention_gradient_scratch(Index length, Index head_dim) {
  return padded<S>(length) * (2 * head_dim + 3 * attention_tile) + padded<S>(head_dim) * 3 * (length + attention_tile);
}

template <class S>
struct NnBackwardKernels {
  /// dx of y = weight · x / √(mean x² + epsilon), all [width].
  void (*rms_norm)(const S* x, const S* weight, const S* dy, Index width, S epsilon, bool add, S* dx);
  /// dx of y = weight · (x − mean) / √(var + epsilon) + bias.
  void (*layer_norm)(const S* x, const S* weight, const S* dy, Index width, S epsilon, bool add, S* dx);
  /// Turns the pairs (i, i + pairs) of dy [2 · pairs] back, or (2i, 2i + 1).
  void (*rotate)(const S* dy, const S* cosine, const S* sine, Index pairs, bool add, S* dx);
  void (*rotate_adjacent)(const S* dy, const S* cosine, const S* sine, Index pairs, bool add, S* dx);
  void (*attend)(const AttentionGradient<S>& gradient);
  /// dx = dy · up · act'(x) and dup = dy · act(x); up null: 1, and no dup. A null gradient is not wanted. [count]
  void (*activate)(Activation activation, const S* x, const S* up, const S* dy, Index count, bool add_x, S* dx,
                   bool add_up, S* dup);
  /// Σ weights · (y − target)², and dy = slope · weights · (y − target) unless it is null; weights null: 1. [count]
  double (*squared_error)(const S* y, const S* target, const S* weights, S slope, Index count, S* dy);
};

}  // namespace halftone::detail
