#include "model/logit_scores.hpp"

#include <algorithm>  // max, min, sort
#include <cmath>

#include "model/tensor_check.hpp"

namespace halftone {
namespace {

/// Logits that are held at once, in numbers.
constexpr Index logit_budget = Index{1} << 22;

/// Value below which `share` of the numbers lie, interpolated linearly between ranks.
double percentile(std::vector<double> numbers, double share) {
  std::sort(numbers.begin(), numbers.end());
  const double rank = share * static_cast<double>(numbers.size() - 1);
  const auto below = static_cast<std::size_t>(rank), above = std::min(below + 1, numbers.size() - 1);
  return numbers[below] + (rank - static_cast<double>(below)) * (numbers[above] - numbers[below]);
}

double mean(const std::vector<double>& numbers) {
  double sum = 0;
  for (const double number : numbers) sum += number;
  return sum / static_cast<double>(numbers.size());
}

}  // namespace

Index logit_chunk(Index tokens, Index vocabulary) {
  return std::min(tokens, std::max<Index>(16, logit_budget / vocabulary));
}

void Predictor::predict(const Matrix<float>& hidden, Index first, Index count) {
  const Matrix<float> final = model_.final_hidden(context_, head_, hidden.view().middle_rows(first, count));
  if (logits_.rows() != count) logits_ = Matrix<float>(count, model_.vocabulary());
  summaries_.resize(static_cast<std::size_t>(count));
  model_.logits(context_, head_, final.view(), logits_.view());
  summarize_logits<float>(context_, logits_.view(), summaries_.data());
  for (Index i = 0; i < count; ++i)
    require(std::isfinite(summary(i).log_sum), Status::InvalidData, "evaluation: the logits of token ", first + i,
            " are not finite in ", model_.checkpoint().name());
}

LogitScores::LogitScores(MatrixView<const std::int32_t> targets, bool compared)
    : targets_(targets), nll_(static_cast<std::size_t>(targets.rows * targets.cols)), kl_(compared ? nll_.size() : 0) {}

void LogitScores::add(const Context<Cpu>& context, Index first, const Predictor& model, const Predictor* reference) {
  const Index count = model.logits().rows();
  for (Index i = 0; i < count; ++i) {
    const Index target = targets_((first + i) / targets_.cols, (first + i) % targets_.cols);
    nll_[static_cast<std::size_t>(first + i)] = model.summary(i).log_sum - model.logits()(i, target);
  }
  if (reference == nullptr) return;
  divergence<float>(context, reference->logits().view(), &reference->summary(0), model.logits().view(),
                    &model.summary(0), kl_.data() + first);
  for (Index i = 0; i < count; ++i) agreements_ += model.summary(i).largest == reference->summary(i).largest;
}

Evaluation LogitScores::result() const {
  Evaluation result{.tokens = static_cast<Index>(nll_.size()),
                    .nll = mean(nll_),
                    .perplexity = std::exp(mean(nll_)),
                    .divergence = {}};
  if (!kl_.empty())
    result.divergence = Divergence{.kl = mean(kl_),
                                   .kl_p99 = percentile(kl_, 0.99),
                                   .top1 = static_cast<double>(agreements_) / static_cast<double>(kl_.size())};
  return result;
}

void require_evaluation_windows(const Model& model, MatrixView<const std::int32_t> ids) {
  require(!model.config().reads_images(), Status::Unsupported, model.checkpoint().name(),
          ": the model reads images, wanted one that reads token ids");
  require(ids.rows > 0 && ids.cols > 1, Status::InvalidArgument, "evaluation: got ", ids.rows, " windows of ", ids.cols,
          " tokens, wanted one or more of two or more");
  detail::require_ids(ids, model.vocabulary());
}

}  // namespace halftone
