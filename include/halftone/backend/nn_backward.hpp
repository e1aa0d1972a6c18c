// Gradients of the primitives of nn.hpp: from dy, the derivative of some number by an output, that by the inputs. Same
// rules as there: rows are tokens, views have unit stride along a row, S is float or double, Status::ShapeMismatch, and
// the same bytes for any number of threads and any chunks of whole windows. A gradient must not overlap an input,
// except where two gradients or a gradient and dy are said to.
//
// Gradients of weights are matrix products (linear_algebra.hpp): y = x Wᵀ has dx = dy W and dW = dyᵀ x.
#pragma once

#include "halftone/backend/nn.hpp"

namespace halftone {

/// Where a gradient goes: over what is there, or added to it. Without data it is not wanted.
template <class S>
struct Gradient {
  MatrixView<S> to;
  bool add = false;

  bool wanted() const { return to.data != nullptr; }
};

/// dx of rms_norm. x, dy, dx [tokens, groups · width]; weight [width].
template <class S>
void rms_norm_backward(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups,
                       double epsilon, MatrixView<const S> dy, Gradient<S> dx);

/// dx of layer_norm.
template <class S>
void layer_norm_backward(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups,
                         double epsilon, MatrixView<const S> dy, Gradient<S> dx);

/// dx of apply_rotary: every head turned back. dy, dx [windows · length, heads · head_dim].
template <class S>
void rotary_backward(const Context<Cpu>& context, MatrixView<const S> dy, const RotaryTable<S>& table, Index heads,
                     Index length, Gradient<S> dx);

/// dq, dk, dv of attention, from its inputs alone: the probabilities are computed again, a tile of queries at a time.
/// Units of work are pairs of window and key head. 5/2 of the forward pass's flops: 10 · head_dim per query head, query
/// and visible key.
template <class S>
void attention_backward(const Context<Cpu>& context, MatrixView<const S> q, MatrixView<const S> k,
                        MatrixView<const S> v, const AttentionShape& shape, MatrixView<const S> dy, Gradient<S> dq,
                        Gradient<S> dk, Gradient<S> dv);
/// Bytes that attention_backward allocates for so many tokens: scratch of the units of work that run at once.
template <class S>
Index attention_backward_bytes(const Context<Cpu>& context, const AttentionShape& shape, Index head_dim, Index tokens);

/// dgate and dup of gate.
template <class S>
void gate_backward(const Context<Cpu>& context, Activation activation, MatrixView<const S> gate, MatrixView<const S> up,
                   MatrixView<const S> dy, Gradient<S> dgate, Gradient<S> dup);
/// dx of activate. The slope of Relu at 0 is 0.
template <class S>
void activate_backward(const Context<Cpu>& context, Activation activation, MatrixView<const S> x,
                       MatrixView<const S> dy, Gradient<S> dx);
/// The gradient of a sum goes to every summand: copies dy to dx, or adds it.
template <class S>
void add_backward(const Context<Cpu>& context, MatrixView<const S> dy, Gradient<S> dx);

/// What a squared error counts how much. Null: everything once.
template <class S>
struct ErrorWeights {
  const S* channels = nullptr;  ///< [cols]
  const S* tokens = nullptr;    ///< [rows]; a token of weight 0 is not looked at, NaN included
};
/// factor · Σ tokens_t · channels_j · (y_tj − target_tj)², summed in double; factor = 1 / size gives the mean. dy,
/// unless it has no data, becomes its derivative 2 · factor · tokens_t · channels_j · (y_tj − target_tj), and may be y.
template <class S>
double squared_error(const Context<Cpu>& context, MatrixView<const S> y, MatrixView<const S> target,
                     const ErrorWeights<S>& weights, double factor, MatrixView<S> dy);

}  // namespace halftone
