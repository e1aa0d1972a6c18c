// Gradients of a transformer's primitives (nn_backward.hpp has their contracts) for Context<Cuda>, in float. Matrices,
// weights and tables are in device memory. The same bytes from run to run.
#pragma once

#include "halftone/backend/cuda_nn.hpp"
#include "halftone/backend/nn_backward.hpp"

namespace halftone {

template <class S>
void rms_norm_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> x, const S* weight,
                       Index groups, double epsilon, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx);
template <class S>
void layer_norm_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> x, const S* weight,
                         Index groups, double epsilon, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx);

template <class S>
void rotary_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> dy,
                     const RotaryTable<S, Cuda>& table, Index heads, Index length, Gradient<S> dx);

/// One pass over the queries, for dq and three numbers a row and head, and one over the keys, for dk and dv. Heads of
/// at most 256 channels.
template <class S>
void attention_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> q,
                        std::type_identity_t<MatrixView<const S>> k, std::type_identity_t<MatrixView<const S>> v,
                        const AttentionShape& shape, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dq,
                        Gradient<S> dk, Gradient<S> dv);
template <class S>
Index attention_backward_bytes(const Context<Cuda>& context, const AttentionShape& shape, Index head_dim, Index tokens);

template <class S>
void gate_backward(const Context<Cuda>& context, Activation activation, std::type_identity_t<MatrixView<const S>> gate,
                   std::type_identity_t<MatrixView<const S>> up, std::type_identity_t<MatrixView<const S>> dy,
                   Gradient<S> dgate, Gradient<S> dup);
template <class S>
void activate_backward(const Context<Cuda>& context, Activation activation, std::type_identity_t<MatrixView<const S>> x,
                       std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx);
template <class S>
void add_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx);

/// Waits: the rows' sums are added on the host. Both weights are in device memory.
template <class S>
double squared_error(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> y,
                     std::type_identity_t<MatrixView<const S>> target, const ErrorWeights<S>& weights, double factor,
                     std::type_identity_t<MatrixView<S>> dy);

}  // namespace halftone
