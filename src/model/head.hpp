// What stands behind the last block, on any backend: norm, projection, product with the head.
#pragma once

#include <utility>  // as_const, move

#include "halftone/model/model.hpp"
#include "model/move_to.hpp"

namespace halftone::detail {

inline HeadWeights<> moved_to(const Context<Cpu>&, HeadWeights<> weights) { return weights; }
template <class Backend>
HeadWeights<Backend> moved_to(const Context<Backend>& context, HeadWeights<> weights) {
  return {moved_to(context, std::move(weights.norm)), moved_to(context, std::move(weights.norm_bias)),
          moved_to(context, std::move(weights.project)), moved_to(context, std::move(weights.head)),
          moved_to(context, std::move(weights.head_bias))};
}

/// What the head multiplies: hidden [tokens, hidden], normed in its place, -> [tokens, embedding width].
template <class Backend>
auto head_inputs(const Context<Backend>& context, const ModelConfig& config, const HeadWeights<Backend>& weights,
                 typename Backend::template Matrix<float> hidden) -> typename Backend::template Matrix<float> {
  const MatrixView<const float> x = std::as_const(hidden).view();
  if (config.final_norm && config.architecture->layer_norm)
    layer_norm<float>(context, x, weights.norm.data(), weights.norm_bias.data(), 1, config.norm_epsilon, hidden.view());
  else if (config.final_norm)
    rms_norm<float>(context, x, weights.norm.data(), 1, config.norm_epsilon, hidden.view());
  if (weights.project.empty()) return hidden;
  auto projected = context.template allocate<float>(hidden.rows(), config.embedding_width);
  gemm<float>(context, Transpose::No, Transpose::Yes, 1.0f, x, weights.project.view(), 0.0f, projected.view());
  return projected;
}

/// inputs [tokens, embedding width] -> logits [tokens, vocabulary].
template <class Backend>
void head_logits(const Context<Backend>& context, const ModelConfig& config, const HeadWeights<Backend>& weights,
                 MatrixView<const float> inputs, MatrixView<float> logits) {
  gemm<float>(context, Transpose::No, Transpose::Yes, 1.0f, inputs, weights.head.view(), 0.0f, logits);
  if (!weights.head_bias.empty()) add_bias<float>(context, weights.head_bias.data(), logits);
  if (config.logit_soft_cap > 0) soft_cap<float>(context, config.logit_soft_cap, logits);
}

}  // namespace halftone::detail
