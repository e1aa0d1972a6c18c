// How well a model predicts held-out text, and how far it is from a reference model.
#pragma once

#include <functional>
#include <optional>

#include "halftone/model/model.hpp"

namespace halftone {

struct Divergence {
  double kl = 0;      ///< mean KL(reference ‖ model), nats a token
  double kl_p99 = 0;  ///< its 99th percentile over tokens, interpolated linearly between ranks
  double top1 = 0;    ///< share of tokens with the same most likely next token, 0 .. 1
};

struct Evaluation {
  Index tokens = 0;                      ///< predictions: windows · (length − 1)
  double nll = 0;                        ///< mean negative log-likelihood, nats a token
  double perplexity = 0;                 ///< exp(nll)
  std::optional<Divergence> divergence;  ///< with a reference
};

/// Share of the work that is done, 0 .. 1. Returns false to stop: the call then throws Status::Cancelled.
using EvaluationProgress = std::function<bool(double done)>;

/// ids [windows, length]: the tokens of a window but the last predict those but the first. Both models are run block by
/// block over all windows, with the weights of one block in memory. log-softmax in float, its sums in double and in a
/// fixed order. Throws Status::ShapeMismatch where the vocabularies differ, Status::InvalidArgument for windows of less
/// than two tokens or none, Status::InvalidData for ids beyond the vocabulary.
Evaluation evaluate(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                    const Model* reference = nullptr, const EvaluationProgress& progress = {});

}  // namespace halftone
