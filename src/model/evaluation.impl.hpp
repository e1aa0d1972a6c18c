// The body of evaluation.hpp, which each backend compiles once.
#pragma once

#include <algorithm>  // min
#include <deque>
#include <utility>  // move
#include <vector>

#include "model/block_reader.hpp"
#include "model/evaluation_room.hpp"
#include "model/logit_scores.impl.hpp"

namespace halftone {
namespace detail {

/// Reports the share of the work that is done, and stops where it is told to.
class EvaluationSteps {
 public:
  EvaluationSteps(const EvaluationProgress& report, Index steps) : report_(report), steps_(steps) {}
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
template <class Backend>
Stream<float, Backend> run_blocks(const Context<Cpu>& host, const Context<Backend>& context, const Model& model,
                                  MatrixView<const std::int32_t> ids, const EvaluationRoom& room,
                                  EvaluationSteps& steps) {
  Stream<float, Backend> stream(context, model.embed(host, ids), ids.cols, {.resident = room.resident});
  BlockReader<Backend> blocks(host, context, model, room.ahead);
  for (Index block = 0; block < model.blocks(); ++block) {
    stream.enter(model.program(block));
    stream.advance(blocks.take(block), model.program(block).size());
    steps.step();
  }
  return stream;
}

}  // namespace detail

/// `evaluate` of what require_evaluable lets through.
template <class Backend>
Evaluation evaluate_on(const Context<Cpu>& host, const Context<Backend>& context, const Model& model,
                       MatrixView<const std::int32_t> ids, const Model* reference, const EvaluationProgress& progress,
                       const EvaluationRoom& room = {}) {
  const KeepMemory keep;
  std::vector<const Model*> models{&model};
  Index blocks = model.blocks();
  if (reference != nullptr) {
    models.push_back(reference);
    blocks += reference->blocks();
  }
  const Index length = ids.cols - 1, tokens = ids.rows * length;
  const Index chunk = logit_chunk<Backend>(tokens, model.vocabulary());
  detail::EvaluationSteps steps(progress, blocks + (tokens + chunk - 1) / chunk);

  std::deque<Stream<float, Backend>> streams;
  std::deque<HeadWeights<Backend>> heads;
  std::deque<Predictor<Backend>> predictors;
  std::vector<Stream<float, Backend>*> all_streams;
  std::vector<Predictor<Backend>*> all_predictors;
  for (const Model* each : models)
    all_streams.push_back(
        &streams.emplace_back(detail::run_blocks(host, context, *each, ids.middle_cols(0, length), room, steps)));
  for (const Model* each : models) {
    heads.push_back(detail::with_spilling(all_streams, [&] { return detail::moved_to(context, each->load_head()); }));
    all_predictors.push_back(&predictors.emplace_back(context, *each, heads.back()));
  }

  LogitScores scores(ids.middle_cols(1, length), reference != nullptr);
  Index at_once = chunk;
  for (Index first = 0; first < tokens; first += chunk) {
    const auto score = [&](Index from, Index count) {
      for (std::size_t i = 0; i < models.size(); ++i) predictors[i].predict(streams[i], from, count);
      scores.add<Backend>(from, predictors.front(), reference != nullptr ? &predictors.back() : nullptr);
    };
    detail::score_tokens(first, std::min(chunk, tokens - first), at_once, all_predictors, all_streams, score);
    steps.step();
  }
  return scores.result();
}

}  // namespace halftone
