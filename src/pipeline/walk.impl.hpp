// The bodies of walk.hpp, which each backend compiles once.
#pragma once

#include <utility>  // move

#include "pipeline/quantised_stream.impl.hpp"
#include "pipeline/traced_stream.hpp"
#include "pipeline/walk.hpp"

namespace halftone {

template <class Backend>
Walk<Backend>::Walk(const WalkContexts<Backend>& contexts, const Model& model, const RunPlan& plan,
                    MatrixView<const std::int32_t> ids, Reading reading, WalkOutput& output, ProgressMeter& meter,
                    const StreamOptions& options)
    : contexts_(contexts),
      model_(model),
      plan_(plan),
      output_(output),
      meter_(meter),
      recording_(output.finished_blocks(), output, meter),
      arriving_(contexts.backend, model, plan.products, plan.device.fixed_bytes <= plan.device.memory_limit),
      weights_(contexts.host, model, plan, reading, meter.trace(), &arriving_),
      quantised_(contexts, model, plan, ids, meter.trace(), options) {
  if (plan.streams() == 2) full_ = embedded(contexts, model, ids, meter.trace(), stream_options(plan, options));
}

template <class Backend>
void Walk<Backend>::run() {
  try {
    walk();
  } catch (...) {
    recording_.catch_up_quietly();
    throw;
  }
}

template <class Backend>
void Walk<Backend>::walk() {
  const Index finished = output_.finished_blocks();
  for (Index block = 0; block < finished; ++block) replay(block);
  for (Index block = finished; block < model_.blocks(); ++block) {
    solve_block(block);
    recording_.hand_over();
    recording_.look();
    recording_.check();
  }
  recording_.catch_up();
  recording_.check();
}

/// True if the block's weights are wanted as a whole.
template <class Backend>
bool Walk<Backend>::weights_needed(Index block) const {
  return block < output_.finished_blocks() ? quantised_.needed_after(block) : quantised_.needed_in(block);
}

/// Both streams, with the block's weights where they are needed.
template <class Backend>
void Walk<Backend>::enter(Index block) {
  if (!weights_needed(block))
    return quantised_.enter(block, [this](const PlannedMatrix& planned) { return weights_.matrix(planned); });
  const bool more = block + 1 < model_.blocks() && weights_needed(block + 1);
  auto weights = arriving_.take(block, weights_.block(block, more ? std::optional(block + 1) : std::nullopt));
  if (full_) full_weights_ = copy(contexts_.backend, weights);
  if (full_) full_->enter(model_.program(block));
  quantised_.enter(block, std::move(weights));
}

template <class Backend>
void Walk<Backend>::advance_full(Index block, Index target) {
  advance(meter_.trace(), "full", block, model_.program(block), *full_, full_weights_, target);
}

template <class Backend>
void Walk<Backend>::leave(Index block) {
  quantised_.leave();
  if (full_ && quantised_.needed_after(block)) advance_full(block, model_.program(block).size());
  full_weights_ = {};
}

/// A block that an earlier run finished: the streams pass through it with the weights that it stored.
template <class Backend>
void Walk<Backend>::replay(Index block) {
  Span span(meter_.trace(), "replay");
  span.note("block", block);
  recording_.step(Phase::Replay);
  const auto& stages = plan_.blocks[static_cast<std::size_t>(block)];
  if (quantised_.needed_after(block)) {
    enter(block);
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) quantised_.replace(planned, output_.stored_values(planned));
    leave(block);
  }
  meter_.skip_block(stages);
}

/// While a block is worked on, the one before it may still be written, until the last stage begins.
template <class Backend>
void Walk<Backend>::solve_block(Index block) {
  const auto& stages = plan_.blocks[static_cast<std::size_t>(block)];
  enter(block);
  for (const PlannedStage& stage : stages) {
    if (&stage == &stages.back()) recording_.catch_up();
    recording_.step(Phase::Collect);
    const Stage& place = model_.program(block).stages[static_cast<std::size_t>(stage.stage)];
    if (full_ && stage.moments != Moments::None) advance_full(block, place.first_op);
    quantised_.solve(stage, full_ ? &*full_ : nullptr, [&](const PlannedMatrix& planned, const auto& solved) {
      finish_matrix(planned, solved);
      const bool block_is_done = &planned == &stages.back().matrices.back();
      if (block_is_done) return;  // it is recorded first
      recording_.look();
      recording_.check();
    });
  }
  leave(block);
}

/// Writes, checks, reports.
template <class Backend>
void Walk<Backend>::finish_matrix(const PlannedMatrix& planned, const QuantizedMatrix& solved) {
  const LayerReport layer = layer_report(planned, solved.report);
  output_.write(planned, solved, layer);
  meter_.matrix_done(planned);
  meter_.report(Phase::Solve, layer.module, &solved.report);
}

}  // namespace halftone
