// How well the logits of hidden states predict, and how far they are from a reference's: chunk by chunk of tokens, so
// that no more than a chunk's logits are held, where the backend computes. What `evaluate` and a comparison of several
// models share.
#pragma once

#include <algorithm>  // max, min
#include <vector>

#include "halftone/model/evaluation.hpp"
#include "halftone/model/stream.hpp"

namespace halftone {

/// Logits of a model that are held at once, in numbers. On the CPU they stay in its cache; elsewhere there are enough
/// of them for the whole device.
template <class Backend>
inline constexpr Index logit_budget = Index{1} << 26;
template <>
inline constexpr Index logit_budget<Cpu> = Index{1} << 22;
/// Tokens whose logits are held at once. Depends on nothing but the data, the vocabulary and the backend.
template <class Backend>
Index logit_chunk(Index tokens, Index vocabulary) {
  return std::min(tokens, std::max<Index>(16, logit_budget<Backend> / vocabulary));
}

/// Logits of a few tokens, in buffers that are used again.
template <class Backend>
class Predictor {
 public:
  /// All arguments must outlive the object.
  Predictor(const Context<Backend>& context, const Model& model, const HeadWeights<Backend>& head)
      : context_(context), model_(model), head_(head) {}

  /// Logits and their summaries of tokens [first, first + count) of a stream behind the last block. Throws
  /// Status::InvalidData where they are not finite.
  void predict(const Stream<float, Backend>& stream, Index first, Index count);
  /// Gives the memory of the logits back.
  void release() { logits_ = {}; }

  const Context<Backend>& context() const { return context_; }
  MatrixView<const float> logits() const { return logits_.view(); }
  const std::vector<LogitSummary>& summaries() const { return summaries_; }

 private:
  const Context<Backend>& context_;
  const Model& model_;
  const HeadWeights<Backend>& head_;
  typename Backend::template Matrix<float> logits_;
  std::vector<LogitSummary> summaries_;  // by token
};

/// The measures of one model, gathered over chunks.
class LogitScores {
 public:
  /// targets [windows, length]: the successor of every token, in the order of the hidden states. `compared`: with a
  /// reference.
  LogitScores(MatrixView<const std::int32_t> targets, bool compared);

  /// Takes the chunk of tokens from `first` on that `model`, and `reference` where there is one, predicted last. A
  /// token that is given twice counts once.
  template <class Backend>
  void add(Index first, const Predictor<Backend>& model, const Predictor<Backend>* reference);
  /// When all tokens were added.
  Evaluation result() const;

 private:
  MatrixView<const std::int32_t> targets_;
  std::vector<double> nll_, kl_;  ///< by token; no KL without a reference
  std::vector<char> agrees_;      ///< by token: 1 where both have the same most likely successor
};

/// Throws what `evaluate` throws for windows that it cannot take: ids [windows, length].
void require_evaluation_windows(const Model& model, MatrixView<const std::int32_t> ids);
/// The same, and for a reference (may be null) of another vocabulary.
void require_evaluable(const Model& model, MatrixView<const std::int32_t> ids, const Model* reference);

}  // namespace halftone
