#include "model/logit_scores.hpp"

#include <algorithm>  // count, min, sort
#include <cmath>

#include "model/tensor_check.hpp"

namespace halftone {
namespace {

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

LogitScores::LogitScores(MatrixView<const std::int32_t> targets, bool compared)
    : targets_(targets),
      nll_(static_cast<std::size_t>(targets.rows * targets.cols)),
      kl_(compared ? nll_.size() : 0),
      agrees_(kl_.size()) {}

Evaluation LogitScores::result() const {
  Evaluation result{.tokens = static_cast<Index>(nll_.size()),
                    .nll = mean(nll_),
                    .perplexity = std::exp(mean(nll_)),
                    .divergence = {}};
  if (!kl_.empty()) {
    const auto same = std::count(agrees_.begin(), agrees_.end(), 1);
    result.divergence = Divergence{.kl = mean(kl_),
                                   .kl_p99 = percentile(kl_, 0.99),
                                   .top1 = static_cast<double>(same) / static_cast<double>(kl_.size())};
  }
  return result;
}

void require_evaluation_windows(const Model& model, MatrixView<const std::int32_t> ids) {
  require(!model.config().reads_images(), Status::Unsupported, model.checkpoint().name(),
          ": the model reads images, wanted one that reads token ids");
  require(ids.rows > 0 && ids.cols > 1, Status::InvalidArgument, "evaluation: got ", ids.rows, " windows of ", ids.cols,
          " tokens, wanted one or more of two or more");
  detail::require_ids(ids, model.vocabulary());
}

void require_evaluable(const Model& model, MatrixView<const std::int32_t> ids, const Model* reference) {
  require(reference == nullptr || reference->vocabulary() == model.vocabulary(), Status::ShapeMismatch,
          "evaluation: the model's vocabulary has ", model.vocabulary(), " tokens, the reference's ",
          reference == nullptr ? 0 : reference->vocabulary(), ", wanted the same");
  require_evaluation_windows(model, ids);
}

}  // namespace halftone
