#include "halftone/model/evaluation.hpp"

#include <algorithm>  // max, min, sort
#include <cmath>

#include "halftone/core/error.hpp"
#include "halftone/model/stream.hpp"
#include "model/tensor_check.hpp"

namespace halftone {
namespace {

/// Logits that are held at once, in numbers.
constexpr Index logit_budget = Index{1} << 22;

/// Reports the share of the work that is done, and stops where it is told to.
class Progress {
 public:
  Progress(const EvaluationProgress& report, Index steps) : report_(report), steps_(steps) {}
  void step() {
    const double done = static_cast<double>(++step_) / static_cast<double>(steps_);
    require(!report_ || report_(done), Status::Cancelled, "evaluation: stopped on request after ", step_, " of ",
            steps_, " steps");
  }

 private:
  const EvaluationProgress& report_;
  Index steps_, step_ = 0;
};

/// A model whose blocks have all been run: logits of any tokens on demand.
class Predictor {
 public:
  Predictor(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids, Progress& progress)
      : context_(context), model_(model), stream_(context, model.embed(context, ids), ids.cols) {
    for (Index block = 0; block < model.blocks(); ++block) {
      stream_.enter(model.program(block));
      stream_.advance(model.load_block(context, block), model.program(block).size());
      progress.step();
    }
    head_ = model.load_head();
  }

  /// Logits and their summaries of tokens [first, first + count).
  void predict(Index first, Index count) {
    const Matrix<float> final = model_.final_hidden(context_, head_, stream_.hidden().view().middle_rows(first, count));
    if (logits_.rows() != count) logits_ = Matrix<float>(count, model_.vocabulary());
    summaries_.resize(static_cast<std::size_t>(count));
    model_.logits(context_, head_, final.view(), logits_.view());
    summarize_logits<float>(context_, logits_.view(), summaries_.data());
    for (Index i = 0; i < count; ++i)
      require(std::isfinite(summary(i).log_sum), Status::InvalidData, "evaluation: the logits of token ", first + i,
              " are not finite in ", model_.checkpoint().directory().string());
  }

  const Matrix<float>& logits() const { return logits_; }
  const LogitSummary& summary(Index token) const { return summaries_[static_cast<std::size_t>(token)]; }

 private:
  const Context<Cpu>& context_;
  const Model& model_;
  Stream<float> stream_;
  HeadWeights head_;
  Matrix<float> logits_;
  std::vector<LogitSummary> summaries_;
};

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

void require_comparable(const Model& model, MatrixView<const std::int32_t> ids, const Model* reference) {
  require(ids.rows > 0 && ids.cols > 1, Status::InvalidArgument, "evaluation: got ", ids.rows, " windows of ", ids.cols,
          " tokens, wanted one or more of two or more");
  require(reference == nullptr || reference->vocabulary() == model.vocabulary(), Status::ShapeMismatch,
          "evaluation: the model's vocabulary has ", model.vocabulary(), " tokens, the reference's ",
          reference == nullptr ? 0 : reference->vocabulary(), ", wanted the same");
  detail::require_ids(ids, model.vocabulary());
}

}  // namespace

Evaluation evaluate(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                    const Model* reference, const EvaluationProgress& progress) {
  require_comparable(model, ids, reference);
  const Index length = ids.cols - 1, tokens = ids.rows * length;
  const Index chunk = std::min(tokens, std::max<Index>(16, logit_budget / model.vocabulary()));
  Progress steps(progress, model.blocks() + (reference ? reference->blocks() : 0) + (tokens + chunk - 1) / chunk);
  const auto inputs = ids.middle_cols(0, length), targets = ids.middle_cols(1, length);
  Predictor predictor(context, model, inputs, steps);
  std::optional<Predictor> original;
  if (reference) original.emplace(context, *reference, inputs, steps);

  std::vector<double> nll(static_cast<std::size_t>(tokens)), kl(reference ? nll.size() : 0);
  Index agreements = 0;
  for (Index first = 0; first < tokens; first += chunk) {
    const Index count = std::min(chunk, tokens - first);
    predictor.predict(first, count);
    for (Index i = 0; i < count; ++i) {
      const Index target = targets((first + i) / length, (first + i) % length);
      nll[static_cast<std::size_t>(first + i)] = predictor.summary(i).log_sum - predictor.logits()(i, target);
    }
    if (original) {
      original->predict(first, count);
      divergence<float>(context, original->logits().view(), &original->summary(0), predictor.logits().view(),
                        &predictor.summary(0), kl.data() + first);
      for (Index i = 0; i < count; ++i) agreements += predictor.summary(i).largest == original->summary(i).largest;
    }
    steps.step();
  }

  Evaluation result{.tokens = tokens, .nll = mean(nll), .perplexity = std::exp(mean(nll)), .divergence = {}};
  if (reference)
    result.divergence = Divergence{.kl = mean(kl),
                                   .kl_p99 = percentile(kl, 0.99),
                                   .top1 = static_cast<double>(agreements) / static_cast<double>(tokens)};
  return result;
}

}  // namespace halftone
