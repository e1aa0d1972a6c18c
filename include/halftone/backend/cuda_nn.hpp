// Primitives of a transformer (nn.hpp has their contracts) for Context<Cuda>, in float. Matrices, weights and tables
// are in device memory.
#pragma once

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/backend/nn.hpp"

namespace halftone {

template <class S>
void rms_norm(const Context<Cuda>& context, MatrixView<const S> x, const S* weight, Index groups, double epsilon,
              std::type_identity_t<MatrixView<S>> y);
template <class S>
void layer_norm(const Context<Cuda>& context, MatrixView<const S> x, const S* weight, const S* bias, Index groups,
                double epsilon, std::type_identity_t<MatrixView<S>> y);

template <class S>
void apply_rotary(const Context<Cuda>& context, MatrixView<const S> x, const RotaryTable<S, Cuda>& table, Index heads,
                  Index length, std::type_identity_t<MatrixView<S>> y);

/// Online softmax, four queries a team: no matrix of scores in memory. Heads of at most 256 channels.
template <class S>
void attention(const Context<Cuda>& context, MatrixView<const S> q, std::type_identity_t<MatrixView<const S>> k,
               std::type_identity_t<MatrixView<const S>> v, const AttentionShape& shape,
               std::type_identity_t<MatrixView<S>> y);

template <class S>
void gate(const Context<Cuda>& context, Activation activation, MatrixView<const S> gate,
          std::type_identity_t<MatrixView<const S>> up, std::type_identity_t<MatrixView<S>> y);
template <class S>
void activate(const Context<Cuda>& context, Activation activation, MatrixView<const S> x,
              std::type_identity_t<MatrixView<S>> y);
template <class S>
void add(const Context<Cuda>& context, MatrixView<const S> a, std::type_identity_t<MatrixView<const S>> b,
         std::type_identity_t<MatrixView<S>> y);
template <class S>
void add_bias(const Context<Cuda>& context, const S* bias, MatrixView<S> y);
template <class S>
void soft_cap(const Context<Cuda>& context, double cap, MatrixView<S> x);

/// Logits are in device memory; summaries, targets and what comes out are the host's. Each call waits.
template <class S>
void summarize_logits(const Context<Cuda>& context, MatrixView<const S> x, LogitSummary* out);
template <class S>
void divergence(const Context<Cuda>& context, MatrixView<const S> reference, const LogitSummary* reference_summary,
                std::type_identity_t<MatrixView<const S>> x, const LogitSummary* summary, double* out);
template <class S>
void target_logits(const Context<Cuda>& context, MatrixView<const S> x, const std::int32_t* targets, S* out);

}  // namespace halftone
