// The bodies of tuned_walk.hpp, which each backend compiles once.
#pragma once

#include <utility>  // exchange, move

#include "model/move_to.hpp"
#include "model/with_room.hpp"
#include "pipeline/traced_stream.hpp"
#include "pipeline/tuned_walk.hpp"

namespace halftone {

template <class Backend>
TunedWalk<Backend>::TunedWalk(const WalkContexts<Backend>& contexts, const Model& model, const RunPlan& plan,
                              MatrixView<const std::int32_t> ids, WalkOutput& output, ProgressMeter& meter,
                              const StreamOptions& options)
    : contexts_(contexts),
      model_(model),
      plan_(plan),
      output_(output),
      meter_(meter),
      length_(ids.cols),
      quantised_(contexts, model, plan, ids, meter.trace(), options),
      ahead_(embedded(contexts, model, ids, meter.trace(), stream_options(plan, options))) {
  if (plan.moments >= Moments::Cross)
    full_ = embedded(contexts, model, ids, meter.trace(), stream_options(plan, options));
  quantised_.also_spill([this] {
    const bool ahead = ahead_.spill(), input = input_.spill();
    return ahead || input;
  });
}

/// Does work that takes memory of the backend. Where there is not enough left hidden states make room, and it is done
/// anew.
template <class Backend>
template <class Work>
auto TunedWalk<Backend>::with_room(Work&& work) {
  return detail::with_room(work, [&] {
    const bool full = full_ && full_->spill(), others = quantised_.spill_hidden();
    if (full || others) room_note_ = hidden_states_moved;
    return full || others;
  });
}

template <class Backend>
void TunedWalk<Backend>::run() {
  const std::vector<TuneWindow> windows = tune_windows(model_.blocks(), plan_.tune);
  for (std::size_t next = go_on(windows); next < windows.size(); ++next) {
    const TuneWindow& window = windows[next];
    input_ = quantised_.hidden().copied();
    for (Index block = window.first; block < window.last; ++block)
      solved_.contains(block) ? pass_through(block) : solve_block(block);
    tune(window, next);
    keep(window, next);
    settle(window);
  }
}

/// Goes to where an earlier run stopped. Returns the window that is next.
template <class Backend>
std::size_t TunedWalk<Backend>::go_on(const std::vector<TuneWindow>& windows) {
  const Index finished = output_.finished_blocks();
  std::size_t next = 0;
  if (overlapping()) {
    std::optional<KeptWindow> kept = output_.kept_window();
    const bool useful = kept && kept->window < windows.size() && windows[kept->window].first <= finished;
    return useful ? go_on_behind(windows, std::move(*kept)) : 0;
  }
  for (; next < windows.size() && windows[next].settled <= finished; ++next) {
    for (Index block = windows[next].first; block < windows[next].settled; ++block) replay(block);
    meter_.skip_window(windows[next]);
  }
  return next;
}

/// As the run was when it had trained that window.
template <class Backend>
std::size_t TunedWalk<Backend>::go_on_behind(const std::vector<TuneWindow>& windows, KeptWindow kept) {
  const TuneWindow& window = windows[kept.window];
  for (Index block = 0; block < window.first; ++block) replay(block);
  for (std::size_t i = 0; i <= kept.window; ++i) meter_.skip_window(windows[i]);
  input_ = quantised_.hidden().copied();
  for (Index block = window.first; block < window.last; ++block) restore(block, kept);
  settle(window);
  return kept.window + 1;
}

/// A block that an earlier run solved and trained; the quantised stream is not in it yet.
template <class Backend>
void TunedWalk<Backend>::restore(Index block, KeptWindow& kept) {
  Span span(meter_.trace(), "replay");
  span.note("block", block);
  meter_.step(Phase::Replay);
  if (full_) pass("full", *full_, block);
  Solved& solved = solved_[block];
  solved.weights = copied(block);
  for (const PlannedStage& stage : plan_.blocks[static_cast<std::size_t>(block)])
    for (const PlannedMatrix& planned : stage.matrices)
      solved.matrices.emplace_back(&planned, std::move(kept.matrices.at(planned.matrix.module)));
}

/// Before any of its blocks is final, so that a run goes on behind the window wherever it stops.
template <class Backend>
void TunedWalk<Backend>::keep(const TuneWindow& window, std::size_t number) {
  if (window.settled == window.last) return;  // no later window trains what this one did
  SolvedMatrices list;
  for (Index block = window.first; block < window.last; ++block)
    for (const auto& [planned, matrix] : solved_.at(block).matrices) list.emplace_back(planned, &matrix);
  output_.keep_window(number, list);
}

template <class Backend>
auto TunedWalk<Backend>::original(Index block) -> Weights& {
  const auto found = originals_.find(block);
  if (found != originals_.end()) return found->second;
  Span span(meter_.trace(), "read");
  span.note("block", block);
  const auto there = [&] { return detail::moved_to(contexts_.backend, model_.load_block(contexts_.host, block)); };
  return originals_.emplace(block, with_room(there)).first->second;
}

/// A copy of the originals.
template <class Backend>
auto TunedWalk<Backend>::copied(Index block) -> Weights {
  const Weights& weights = original(block);
  return with_room([&] { return copy(contexts_.backend, weights); });
}

/// Takes a stream of the original model through a block.
template <class Backend>
void TunedWalk<Backend>::pass(std::string_view which, Stream<float, Backend>& stream, Index block) {
  const BlockProgram& program = model_.program(block);
  stream.enter(program);
  advance(meter_.trace(), which, block, program, stream, original(block), program.size());
}

/// A block that an earlier run finished: all streams pass through it.
template <class Backend>
void TunedWalk<Backend>::replay(Index block) {
  Span span(meter_.trace(), "replay");
  span.note("block", block);
  meter_.step(Phase::Replay);
  const auto& stages = plan_.blocks[static_cast<std::size_t>(block)];
  if (full_) pass("full", *full_, block);
  pass("ahead", ahead_, ahead_block_++);
  quantised_.enter(block, copied(block));
  for (const PlannedStage& stage : stages)
    for (const PlannedMatrix& planned : stage.matrices) quantised_.replace(planned, output_.stored_values(planned));
  quantised_.leave();
  originals_.erase(block);
  meter_.skip_block(stages);
}

/// The solver's result, held until the block is final.
template <class Backend>
void TunedWalk<Backend>::solve_block(Index block) {
  const BlockProgram& program = model_.program(block);
  const Weights& weights = original(block);
  Solved& solved = solved_[block];
  if (full_) full_->enter(program);
  quantised_.enter(block, copied(block));
  for (const PlannedStage& stage : plan_.blocks[static_cast<std::size_t>(block)]) {
    meter_.step(Phase::Collect);
    const Stage& place = program.stages[static_cast<std::size_t>(stage.stage)];
    if (full_ && stage.moments != Moments::None)
      advance(meter_.trace(), "full", block, program, *full_, weights, place.first_op);
    quantised_.solve(stage, full_ ? &*full_ : nullptr, [&](const PlannedMatrix& planned, const auto& matrix) {
      solved.matrices.emplace_back(&planned, matrix);
      meter_.report(Phase::Solve, planned.matrix.module, &matrix.report);
      meter_.check();
    });
  }
  if (full_) advance(meter_.trace(), "full", block, program, *full_, weights, program.size());
  solved.weights = *quantised_.leave();
}

/// A block that an earlier window solved and tuned, on the way to the next.
template <class Backend>
void TunedWalk<Backend>::pass_through(Index block) {
  Solved& solved = solved_.at(block);
  quantised_.enter(block, std::move(solved.weights));
  solved.weights = *quantised_.leave();
}

/// What an error of each channel counts: the squared gain of the norm that reads it.
template <class Backend>
std::vector<float> TunedWalk<Backend>::channel_weights(Index until) {
  if (plan_.tune.weighting == TuneWeighting::None) return {};
  if (until < model_.blocks()) return squared_gains(contexts_.backend, model_.program(until), original(until));
  return squared_gains(model_.final_gain());
}

/// The window's blocks and those behind it, as the tuner wants them.
template <class Backend>
std::vector<TunedBlock<Backend>> TunedWalk<Backend>::tuned_blocks(const TuneWindow& window) {
  std::vector<TunedBlock<Backend>> blocks;
  for (Index block = window.first; block < window.last; ++block) {
    Solved& solved = solved_.at(block);
    TunedBlock<Backend> tuned{&model_.program(block), &solved.weights, {}};
    for (auto& [planned, matrix] : solved.matrices) {
      const auto linear = static_cast<std::size_t>(planned->linear);
      const Weights& weights = original(block);
      tuned.matrices.push_back(
          {planned->linear, weights.linears[linear].view(), &matrix, planned->matrix.grid.minimum_zero});
    }
    blocks.push_back(std::move(tuned));
  }
  for (Index block = window.last; block < window.until; ++block)  // has no matrices: only read
    blocks.push_back({&model_.program(block), &original(block), {}});
  return blocks;
}

template <class Backend>
TuneReport TunedWalk<Backend>::train(const TuneWindow& window, std::size_t number) {
  const std::vector<float> channels = channel_weights(window.until);
  const TuneData<Backend> data{input_, ahead_.hidden_tokens(), channels.empty() ? nullptr : channels.data(), length_};
  Span span(meter_.trace(), "tune");
  span.note("first", window.first).note("last", window.last).note("until", window.until);
  std::optional<Span> step_span(std::in_place, meter_.trace(), "step");
  const auto tell = [&](int step, int steps, double loss) {
    step_span->note("step", Index{step}).note("loss", loss);
    step_span.reset();
    if (step < steps) step_span.emplace(meter_.trace(), "step");
    meter_.tuned(window, {window.first, window.last, step, steps, loss});
    return true;
  };
  return tune_window(contexts_.backend, plan_.tune, tuned_blocks(window), data,
                     plan_.tune.seed + static_cast<std::int64_t>(number), tell);
}

template <class Backend>
void TunedWalk<Backend>::tune(const TuneWindow& window, std::size_t number) {
  while (ahead_block_ < window.until) pass("ahead", ahead_, ahead_block_++);
  bool any = false;
  for (Index block = window.first; block < window.last; ++block) any = any || !solved_.at(block).matrices.empty();
  if (!any) return;  // rules keep all of it
  const TuneReport report = with_room([&] { return train(window, number); });
  const std::string end = concat("the output of block ", window.until - 1),
                    note = report.steps > 0
                               ? concat("tuned against ", end, ": loss ", report.loss, " of ", report.start_loss,
                                        " before, after ", report.steps, " steps; the error is that of the solve")
                               : concat("tuning against ", end, " found nothing better than the solve, loss ",
                                        report.start_loss);
  for (Index block = window.first; block < window.last; ++block)
    for (auto& [planned, matrix] : solved_.at(block).matrices) {
      if (!room_note_.empty()) matrix.report.notes.push_back(std::exchange(room_note_, {}));
      matrix.report.notes.push_back(note);
    }
}

/// Writes the blocks that no later window changes, and takes the quantised stream through them from where the window
/// began.
template <class Backend>
void TunedWalk<Backend>::settle(const TuneWindow& window) {
  quantised_.restart(std::exchange(input_, {}));
  {
    const Span span(meter_.trace(), "decode");
    for (Index block = window.first; block < window.last; ++block)
      for (const auto& [planned, matrix] : solved_.at(block).matrices) {
        auto& W = solved_.at(block).weights.linears[static_cast<std::size_t>(planned->linear)];
        W = {};  // before there is another
        W = with_room([&, &planned = planned, &matrix = matrix] { return quantised_.stored_values(*planned, matrix); });
      }
  }
  for (Index block = window.first; block < window.settled; ++block) {
    Solved& solved = solved_.at(block);
    write_block(block, solved);
    quantised_.enter(block, std::move(solved.weights));
    quantised_.leave();
    solved_.erase(block);
    originals_.erase(block);
    meter_.step(Phase::Write);
  }
}

template <class Backend>
void TunedWalk<Backend>::write_block(Index block, Solved& solved) {
  const bool written = block < output_.finished_blocks();  // by an earlier run, with the same bytes
  for (auto& [planned, matrix] : solved.matrices) {
    if (!written) output_.write(*planned, matrix, layer_report(*planned, matrix.report));
    meter_.matrix_done(*planned);
  }
  if (!written) output_.block_done(block);
  if (!written) output_.wait_recorded(block);
  meter_.block_done();
}

}  // namespace halftone
