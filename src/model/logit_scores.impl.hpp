// The bodies of logit_scores.hpp, which each backend compiles once; and what is done where its memory is short.
#pragma once

#include <cmath>
#include <utility>  // move
#include <vector>

#include "halftone/core/error.hpp"
#include "model/head.hpp"
#include "model/logit_scores.hpp"
#include "model/with_room.hpp"

namespace halftone {

template <class Backend>
void Predictor<Backend>::predict(const Stream<float, Backend>& stream, Index first, Index count) {
  if (logits_.rows() != count) {
    release();
    logits_ = context_.template allocate<float>(count, model_.vocabulary());
  }
  summaries_.resize(static_cast<std::size_t>(count));
  const TokenMatrix<float, Backend>& tokens = stream.hidden_tokens();
  auto hidden = context_.template allocate<float>(count, tokens.cols());
  tokens.load(first, 0, hidden.view());
  const auto inputs = detail::head_inputs(context_, model_.config(), head_, std::move(hidden));
  detail::head_logits(context_, model_.config(), head_, inputs.view(), logits_.view());
  summarize_logits<float>(context_, logits(), summaries_.data());
  for (std::size_t i = 0; i < summaries_.size(); ++i)
    require(std::isfinite(summaries_[i].log_sum), Status::InvalidData, "evaluation: the logits of token ",
            first + static_cast<Index>(i), " are not finite in ", model_.checkpoint().name());
}

template <class Backend>
void LogitScores::add(Index first, const Predictor<Backend>& model, const Predictor<Backend>* reference) {
  const std::vector<LogitSummary>& own = model.summaries();
  std::vector<std::int32_t> targets;
  for (Index i = first; i < first + static_cast<Index>(own.size()); ++i)
    targets.push_back(targets_(i / targets_.cols, i % targets_.cols));
  std::vector<float> logits(own.size());
  target_logits<float>(model.context(), model.logits(), targets.data(), logits.data());
  const auto place = static_cast<std::size_t>(first);
  for (std::size_t i = 0; i < own.size(); ++i) nll_[place + i] = own[i].log_sum - static_cast<double>(logits[i]);
  if (reference == nullptr) return;
  const std::vector<LogitSummary>& other = reference->summaries();
  divergence<float>(model.context(), reference->logits(), other.data(), model.logits(), own.data(), kl_.data() + first);
  for (std::size_t i = 0; i < own.size(); ++i) agrees_[place + i] = own[i].largest == other[i].largest;
}

namespace detail {

template <class Backend>
bool spill_all(const std::vector<Stream<float, Backend>*>& streams) {
  bool moved = false;
  for (Stream<float, Backend>* stream : streams) moved = stream->spill() || moved;
  return moved;
}

/// Does work that takes memory of the backend. Where there is not enough left, hidden states make room, and it is done
/// anew.
template <class Backend, class Work>
auto with_spilling(const std::vector<Stream<float, Backend>*>& streams, Work&& work) {
  return with_room(work, [&] { return spill_all(streams); });
}

/// Scores tokens [first, first + count): score(first, count) of some of them, at most `at_once`. Where the backend has
/// no memory for the logits of so many, from then on half as many are taken; where it has none for one token's, hidden
/// states make room.
template <class Backend, class Score>
void score_tokens(Index first, Index count, Index& at_once, const std::vector<Predictor<Backend>*>& predictors,
                  const std::vector<Stream<float, Backend>*>& streams, Score&& score) {
  for (const Index end = first + count; first < end;) {
    const Index part = std::min(at_once, end - first);
    try {
      score(first, part);
      first += part;
    } catch (const Error& error) {
      if (error.status() != Status::OutOfMemory) throw;
      for (Predictor<Backend>* predictor : predictors) predictor->release();
      if (part == 1 && !spill_all(streams)) throw;
      at_once = std::max<Index>(1, part / 2);
    }
  }
}

}  // namespace detail
}  // namespace halftone
