// How well the logits of hidden states predict, and how far they are from a reference's: chunk by chunk of tokens, so
// that no more than a chunk's logits are held. What `evaluate` and a comparison of several models share.
#pragma once

#include <vector>

#include "halftone/model/evaluation.hpp"

namespace halftone {

/// Tokens whose logits are held at once. Depends on nothing but the data and the vocabulary.
Index logit_chunk(Index tokens, Index vocabulary);

/// Logits of a few tokens, in buffers that are used again.
class Predictor {
 public:
  /// All arguments must outlive the object.
  Predictor(const Context<Cpu>& context, const Model& model, const HeadWeights& head)
      : context_(context), model_(model), head_(head) {}

  /// Logits and their summaries of tokens [first, first + count) of `hidden` [tokens, hidden], behind the last block.
  /// Throws Status::InvalidData where they are not finite.
  void predict(const Matrix<float>& hidden, Index first, Index count);

  const Matrix<float>& logits() const { return logits_; }
  const LogitSummary& summary(Index token) const { return summaries_[static_cast<std::size_t>(token)]; }

 private:
  const Context<Cpu>& context_;
  const Model& model_;
  const HeadWeights& head_;
  Matrix<float> logits_;
  std::vector<LogitSummary> summaries_;
};

/// The measures of one model, summed up over chunks.
class LogitScores {
 public:
  /// targets [windows, length]: the successor of every token, in the order of the hidden states. `compared`: with a
  /// reference.
  LogitScores(MatrixView<const std::int32_t> targets, bool compared);

  /// Adds the chunk of tokens from `first` on that `model`, and `reference` where there is one, predicted last.
  void add(const Context<Cpu>& context, Index first, const Predictor& model, const Predictor* reference);
  /// When all tokens were added.
  Evaluation result() const;

 private:
  MatrixView<const std::int32_t> targets_;
  std::vector<double> nll_, kl_;  ///< by token; no KL without a reference
  Index agreements_ = 0;          ///< tokens with the same most likely successor
};

/// Throws what `evaluate` throws for windows that it cannot take: ids [windows, length].
void require_evaluation_windows(const Model& model, MatrixView<const std::int32_t> ids);

}  // namespace halftone
