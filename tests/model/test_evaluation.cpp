#include "halftone/model/evaluation.hpp"

#include <cmath>

#include "halftone/model/stream.hpp"
#include "model/fixture.hpp"
#include "model/logit_scores.impl.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Log-probabilities [windows · (length − 1), vocabulary] in double, from the model's logits.
Matrix<double> log_probabilities(const Context<Cpu>& context, const Model& model, const Matrix<std::int32_t>& ids) {
  const Index length = ids.cols() - 1;
  Stream<float> stream(context, model.embed(context, ids.view().middle_cols(0, length)), length);
  for (Index block = 0; block < model.blocks(); ++block) {
    stream.enter(model.program(block));
    stream.advance(model.load_block(context, block), model.program(block).size());
  }
  const HeadWeights<> head = model.load_head();
  const auto final = model.final_hidden(context, head, stream.hidden());
  Matrix<float> logits(final.rows(), model.vocabulary());
  model.logits(context, head, final, logits);
  Matrix<double> result(logits.rows(), logits.cols());
  for (Index t = 0; t < logits.rows(); ++t) {
    double sum = 0;
    for (Index j = 0; j < logits.cols(); ++j) sum += std::exp(static_cast<double>(logits(t, j)));
    for (Index j = 0; j < logits.cols(); ++j) result(t, j) = static_cast<double>(logits(t, j)) - std::log(sum);
  }
  return result;
}

Index largest(const Matrix<double>& rows, Index t) {
  return std::max_element(rows.row(t), rows.row(t) + rows.cols()) - rows.row(t);
}

}  // namespace

TEST_CASE("evaluation equals sums over log-probabilities in double") {
  const Context<Cpu> context(2);
  ModelCopy copy("llama_gqa");
  copy.change_config([](Json& config) { config["rms_norm_eps"] = 0.3; });
  const Checkpoint original(model_folder("llama_gqa")), changed(copy.path());
  const Model reference(original), model(changed);
  const auto ids = read_ids(model_folder("llama_gqa") / "ids.safetensors");
  const auto p = log_probabilities(context, reference, ids), q = log_probabilities(context, model, ids);
  double nll = 0, mean_kl = 0, same = 0;
  std::vector<double> kl;
  for (Index t = 0; t < q.rows(); ++t) {
    nll -= q(t, ids(t / (ids.cols() - 1), t % (ids.cols() - 1) + 1)) / static_cast<double>(q.rows());
    double sum = 0;
    for (Index j = 0; j < q.cols(); ++j) sum += std::exp(p(t, j)) * (p(t, j) - q(t, j));
    kl.push_back(sum);
    mean_kl += sum / static_cast<double>(q.rows());
    same += largest(p, t) == largest(q, t) ? 1.0 / static_cast<double>(q.rows()) : 0;
  }
  std::sort(kl.begin(), kl.end());
  const double rank = 0.99 * static_cast<double>(kl.size() - 1);  // 46 predictions: between the 45th and the 46th
  const double p99 = kl[44] + (rank - 44) * (kl[45] - kl[44]);

  const Evaluation result = evaluate(context, model, ids, &reference);
  CHECK(result.tokens == 46);
  CHECK(result.nll == Approx(nll).epsilon(1e-6));
  CHECK(result.perplexity == Approx(std::exp(nll)).epsilon(1e-6));
  REQUIRE(result.divergence);
  CHECK(result.divergence->kl == Approx(mean_kl).epsilon(1e-5));
  CHECK(result.divergence->kl > 1e-4);
  CHECK(result.divergence->kl_p99 == Approx(p99).epsilon(1e-5));
  CHECK(result.divergence->top1 == Approx(same));
  CHECK(result.divergence->top1 < 1);
  CHECK_FALSE(evaluate(context, model, ids).divergence);
}

TEST_CASE("a model does not diverge from itself, and threads change nothing") {
  const Checkpoint checkpoint(model_folder("gemma2"));
  const Model model(checkpoint);
  const auto ids = read_ids(model_folder("gemma2") / "ids.safetensors");
  const Evaluation one = evaluate(Context<Cpu>(1), model, ids, &model),
                   two = evaluate(Context<Cpu>(2), model, ids, &model);
  CHECK(one.divergence->kl == 0);
  CHECK(one.divergence->kl_p99 == 0);
  CHECK(one.divergence->top1 == 1);
  CHECK(one.nll == two.nll);
}

TEST_CASE("the shipped model predicts its evaluation text as it should") {
  const Checkpoint checkpoint(std::filesystem::path(HALFTONE_MODELS) / "novella");
  const auto ids = read_ids(std::filesystem::path(HALFTONE_DATA) / "eval_ids.safetensors");
  const Evaluation result = evaluate(Context<Cpu>(0), Model(checkpoint), ids);
  CHECK(result.tokens == 64 * 255);
  CHECK(std::abs(result.nll - 3.6488) < 5e-5);  // what PyTorch finds
}

TEST_CASE("evaluation reports its progress and can be stopped") {
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(model_folder("opt"));
  const Model model(checkpoint);
  const auto ids = read_ids(model_folder("opt") / "ids.safetensors");
  std::vector<double> shares;
  evaluate(context, model, ids, &model, [&](double done) { return shares.push_back(done), true; });
  CHECK(shares.size() == 5);  // two blocks of each model, one chunk of logits
  CHECK(std::is_sorted(shares.begin(), shares.end()));
  CHECK(shares.back() == 1);
  int calls = 0;
  expect_error(Status::Cancelled, {"stopped on request after 2 of 3 steps"},
               [&] { evaluate(context, model, ids, nullptr, [&](double) { return ++calls < 2; }); });
  CHECK(calls == 2);
}

TEST_CASE(
    "where memory is short tokens are scored in halves, each at last once, and one by one hidden states make room") {
  std::vector<Index> scored(13), parts;
  Index room = 3, at_once = 10;
  const auto score = [&](Index first, Index count) {
    parts.push_back(count);
    if (count > room) fail(Status::OutOfMemory, "full");
    for (Index i = first; i < first + count; ++i) ++scored[static_cast<std::size_t>(i)];
  };
  const std::vector<Predictor<Cpu>*> predictors;
  const std::vector<Stream<float>*> streams;
  detail::score_tokens(0, 10, at_once, predictors, streams, score);
  detail::score_tokens(10, 3, at_once, predictors, streams, score);
  CHECK(scored == std::vector<Index>(13, 1));
  CHECK(parts == std::vector<Index>{10, 5, 2, 2, 2, 2, 2, 2, 1});
  room = 0;
  expect_error(Status::OutOfMemory, {"full"}, [&] { detail::score_tokens(0, 4, at_once, predictors, streams, score); });
  CHECK(parts.back() == 1);
}

TEST_CASE("evaluation refuses what it cannot compare") {
  const Context<Cpu> context(1);
  const Checkpoint llama(model_folder("llama_gqa")), mistral(model_folder("mistral_window"));
  const Model model(llama), other(mistral);
  Matrix<std::int32_t> ids(2, 4, 1);
  expect_error(Status::ShapeMismatch, {"96 tokens", "80"}, [&] { evaluate(context, model, ids, &other); });
  ids(1, 3) = 96;  // only a target
  expect_error(Status::InvalidData, {"window 1, token 3 is 96"}, [&] { evaluate(context, model, ids); });
  expect_error(Status::InvalidArgument, {"2 windows of 1 tokens"},
               [&] { evaluate(context, model, ids.view().middle_cols(0, 1)); });
  expect_error(Status::InvalidArgument, {"0 windows"}, [&] { evaluate(context, model, Matrix<std::int32_t>(0, 4)); });
}
