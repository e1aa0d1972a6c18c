// The bodies of comparison_run.hpp, which each backend compiles once.
#pragma once

#include <algorithm>  // any_of, min
#include <utility>    // move

#include "model/logit_scores.impl.hpp"
#include "pipeline/comparison_run.hpp"
#include "pipeline/contender.impl.hpp"
#include "pipeline/traced_stream.hpp"

namespace halftone {

template <class Backend>
Comparison<Backend>::Comparison(const WalkContexts<Backend>& contexts, const ComparisonTask& task,
                                const ComparisonRoom& room, const WalkDevice* device)
    : contexts_(contexts),
      task_(task),
      device_(device),
      blocks_(contexts.host, contexts.backend, task.model, room.ahead) {
  const auto inputs = task.ids.middle_cols(0, task.ids.cols - 1);
  const Matrix<float> embedding = task.model.embed(contexts.host, inputs);
  const auto evaluation = [&] {
    return Stream(contexts.backend, Matrix<float>(embedding), inputs.cols, {.resident = room.evaluation});
  };
  evaluation_.emplace(evaluation());
  for (ComparedRecipe& recipe : task.recipes) {
    auto& contender =
        contenders_.emplace_back(contexts, task.model, recipe, task.calibration, room.calibration, evaluation());
    if (!recipe.tunes()) together_.push_back(&contender);
  }
  if (full_is_needed([](const Contender<Backend>& contender) { return contender.needs_full_in(0); }))
    full_ = embedded(contexts, task.model, task.calibration, nullptr,
                     {.resident = room.calibration, .products = products_of_full()});
}

template <class Backend>
template <class Test>
bool Comparison<Backend>::full_is_needed(Test&& test) const {
  return std::any_of(contenders_.begin(), contenders_.end(), test);
}

template <class Backend>
ProductType Comparison<Backend>::products_of_full() const {
  const ComparedRecipe* first = nullptr;
  for (const Contender<Backend>* contender : together_) {
    if (!contender->needs_full_in(0)) continue;
    const ComparedRecipe& recipe = contender->recipe();
    if (first == nullptr) first = &recipe;
    require(recipe.plan().products == first->plan().products, Status::InvalidArgument, "compare: ", first->name(),
            " and ", recipe.name(),
            " share one full-precision stream and differ in what it multiplies, wanted the same --compute");
  }
  return first == nullptr ? ProductType::Float : first->plan().products;
}

template <class Backend>
auto Comparison<Backend>::full_at(Index block, std::size_t stage, const Weights& original) -> Stream* {
  if (!full_) return nullptr;
  full_->advance(original, task_.model.program(block).stages[stage].first_op);
  return &*full_;
}

template <class Backend>
void Comparison<Backend>::run() {
  for (Index block = 0; block < task_.model.blocks(); ++block) run_block(block);
  for (Contender<Backend>& contender : contenders_)
    if (contender.recipe().tunes()) run_tuned(contender);
}

/// With a device's memory for itself: what waits for the evaluation is kept by the host meanwhile.
template <class Backend>
void Comparison<Backend>::run_tuned(Contender<Backend>& contender) {
  detail::spill_all(evaluations());
  Index blocks_done = 0;
  const auto progress = [&](const Progress& now) {
    if (now.tuning != nullptr) task_.meter.tuned(*now.tuning);
    for (; blocks_done < now.blocks_done; ++blocks_done) task_.meter.block_done();
    return true;
  };
  contender.walk(task_.calibration, device_, progress,
                 [&](const LayerReport& layer) { task_.meter.matrix_done(contender.recipe().name(), layer); });
}

template <class Backend>
void Comparison<Backend>::run_block(Index block) {
  const BlockProgram& program = task_.model.program(block);
  const Weights original = blocks_.take(block);
  for (auto* contender : together_) contender->enter(block, copy(contexts_.backend, original));
  if (full_) full_->enter(program);
  for (std::size_t stage = 0; stage < program.stages.size(); ++stage) {
    task_.meter.step(Phase::Collect);
    Stream* full = full_at(block, stage, original);
    for (auto* contender : together_)
      contender->solve(block, static_cast<int>(stage), full,
                       [&](const LayerReport& layer) { task_.meter.matrix_done(contender->recipe().name(), layer); });
  }
  for (auto* contender : together_) {
    task_.meter.step(Phase::Collect);
    contender->leave(block);
  }
  if (full_is_needed([&](const Contender<Backend>& contender) { return contender.needs_full_after(block); }))
    full_->advance(original, program.size());
  else
    full_.reset();
  evaluation_->enter(program);
  evaluation_->advance(original, program.size());
  task_.meter.block_done();
}

template <class Backend>
auto Comparison<Backend>::evaluations() -> std::vector<Stream*> {
  std::vector<Stream*> streams{&*evaluation_};
  for (auto& contender : contenders_) streams.push_back(&contender.evaluation());
  return streams;
}

/// Logits of the original once a chunk, of every contender beside them.
template <class Backend>
std::vector<Evaluation> Comparison<Backend>::evaluate() {
  const Model& model = task_.model;
  const std::vector<Stream*> streams = evaluations();
  const auto head =
      detail::with_spilling(streams, [&] { return detail::moved_to(contexts_.backend, model.load_head()); });
  Predictor<Backend> reference(contexts_.backend, model, head), predictor(contexts_.backend, model, head);
  const std::vector<Predictor<Backend>*> predictors{&reference, &predictor};
  const auto targets = task_.ids.middle_cols(1, task_.ids.cols - 1);
  const Index tokens = targets.rows * targets.cols, chunk = logit_chunk<Backend>(tokens, model.vocabulary());
  std::vector<LogitScores> scores(streams.size(), LogitScores(targets, true));
  const auto score = [&](Index first, Index count) {
    reference.predict(*streams.front(), first, count);
    scores.front().add(first, reference, &reference);
    for (std::size_t i = 1; i < streams.size(); ++i) {
      task_.meter.step(Phase::Evaluate);
      predictor.predict(*streams[i], first, count);
      scores[i].add(first, predictor, &reference);
    }
  };
  Index at_once = chunk;
  for (Index first = 0; first < tokens; first += chunk)
    detail::score_tokens(first, std::min(chunk, tokens - first), at_once, predictors, streams, score);
  std::vector<Evaluation> results;
  for (const LogitScores& each : scores) results.push_back(each.result());
  return results;
}

}  // namespace halftone
