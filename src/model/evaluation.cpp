#include "halftone/model/evaluation.hpp"

#include <algorithm>  // min

#include "halftone/core/error.hpp"
#include "halftone/model/stream.hpp"
#include "model/logit_scores.hpp"

namespace halftone {
namespace {

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

/// The windows' hidden states behind the last block.
Stream<float> run_blocks(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                         Progress& progress) {
  Stream<float> stream(context, model.embed(context, ids), ids.cols);
  for (Index block = 0; block < model.blocks(); ++block) {
    stream.enter(model.program(block));
    stream.advance(model.load_block(context, block), model.program(block).size());
    progress.step();
  }
  return stream;
}

/// A model whose blocks have all been run: logits of any tokens on demand.
struct Runner {
  Runner(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids, Progress& progress)
      : stream(run_blocks(context, model, ids, progress)), head(model.load_head()), predictor(context, model, head) {}

  const Predictor& predict(Index first, Index count) {
    predictor.predict(stream.hidden(), first, count);
    return predictor;
  }

  Stream<float> stream;
  HeadWeights head;
  Predictor predictor;
};

}  // namespace

Evaluation evaluate(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                    const Model* reference, const EvaluationProgress& progress) {
  const KeepMemory keep;
  require(reference == nullptr || reference->vocabulary() == model.vocabulary(), Status::ShapeMismatch,
          "evaluation: the model's vocabulary has ", model.vocabulary(), " tokens, the reference's ",
          reference == nullptr ? 0 : reference->vocabulary(), ", wanted the same");
  require_evaluation_windows(model, ids);
  const Index length = ids.cols - 1, tokens = ids.rows * length, chunk = logit_chunk(tokens, model.vocabulary());
  Progress steps(progress, model.blocks() + (reference ? reference->blocks() : 0) + (tokens + chunk - 1) / chunk);
  const auto inputs = ids.middle_cols(0, length);
  Runner runner(context, model, inputs, steps);
  std::optional<Runner> original;
  if (reference) original.emplace(context, *reference, inputs, steps);

  LogitScores scores(ids.middle_cols(1, length), reference != nullptr);
  for (Index first = 0; first < tokens; first += chunk) {
    const Index count = std::min(chunk, tokens - first);
    const Predictor& predicted = runner.predict(first, count);
    scores.add(context, first, predicted, original ? &original->predict(first, count) : nullptr);
    steps.step();
  }
  return scores.result();
}

}  // namespace halftone
