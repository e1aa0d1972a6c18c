#include "pipeline/tuned_walk.hpp"

#include <utility>  // move

#include "pipeline/traced_stream.hpp"

namespace halftone {

TunedWalk::TunedWalk(const Context<Cpu>& context, const Model& model, const RunPlan& plan,
                     MatrixView<const std::int32_t> ids, WalkOutput& output, ProgressMeter& meter)
    : context_(context),
      model_(model),
      plan_(plan),
      output_(output),
      meter_(meter),
      length_(ids.cols),
      quantised_(context, model, plan, ids, meter.trace()),
      ahead_(embedded<Cpu>(context, model, ids, meter.trace(), stream_options(plan))) {
  if (plan.moments >= Moments::Cross) full_ = embedded<Cpu>(context, model, ids, meter.trace(), stream_options(plan));
}

void TunedWalk::run() {
  const std::vector<TuneWindow> windows = tune_windows(model_.blocks(), plan_.tune);
  for (std::size_t next = go_on(windows); next < windows.size(); ++next) {
    const TuneWindow& window = windows[next];
    Matrix<float> input = quantised_.hidden();
    for (Index block = window.first; block < window.last; ++block)
      solved_.contains(block) ? pass_through(block) : solve_block(block);
    tune(window, input.view(), next);
    keep(window, next);
    settle(window, std::move(input));
  }
}

/// Goes to where an earlier run stopped. Returns the window that is next.
std::size_t TunedWalk::go_on(const std::vector<TuneWindow>& windows) {
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
std::size_t TunedWalk::go_on_behind(const std::vector<TuneWindow>& windows, KeptWindow kept) {
  const TuneWindow& window = windows[kept.window];
  for (Index block = 0; block < window.first; ++block) replay(block);
  for (std::size_t i = 0; i <= kept.window; ++i) meter_.skip_window(windows[i]);
  Matrix<float> input = quantised_.hidden();
  for (Index block = window.first; block < window.last; ++block) restore(block, kept);
  settle(window, std::move(input));
  return kept.window + 1;
}

/// A block that an earlier run solved and trained; the quantised stream is not in it yet.
void TunedWalk::restore(Index block, KeptWindow& kept) {
  Span span(meter_.trace(), "replay");
  span.note("block", block);
  meter_.step(Phase::Replay);
  if (full_) pass("full", *full_, block);
  Solved& solved = solved_[block];
  solved.weights = original(block);
  for (const PlannedStage& stage : plan_.blocks[static_cast<std::size_t>(block)])
    for (const PlannedMatrix& planned : stage.matrices)
      solved.matrices.emplace_back(&planned, std::move(kept.matrices.at(planned.matrix.module)));
}

/// Before any of its blocks is final, so that a run goes on behind the window wherever it stops.
void TunedWalk::keep(const TuneWindow& window, std::size_t number) {
  if (window.settled == window.last) return;  // no later window trains what this one did
  SolvedMatrices list;
  for (Index block = window.first; block < window.last; ++block)
    for (const auto& [planned, matrix] : solved_.at(block).matrices) list.emplace_back(planned, &matrix);
  output_.keep_window(number, list);
}

BlockWeights<float>& TunedWalk::original(Index block) {
  const auto found = originals_.find(block);
  if (found != originals_.end()) return found->second;
  Span span(meter_.trace(), "read");
  span.note("block", block);
  return originals_.emplace(block, model_.load_block(context_, block)).first->second;
}

/// Takes a stream of the original model through a block.
void TunedWalk::pass(std::string_view which, Stream<float>& stream, Index block) {
  const BlockProgram& program = model_.program(block);
  stream.enter(program);
  advance(meter_.trace(), which, block, program, stream, original(block), program.size());
}

/// A block that an earlier run finished: all streams pass through it.
void TunedWalk::replay(Index block) {
  Span span(meter_.trace(), "replay");
  span.note("block", block);
  meter_.step(Phase::Replay);
  const auto& stages = plan_.blocks[static_cast<std::size_t>(block)];
  if (full_) pass("full", *full_, block);
  pass("ahead", ahead_, ahead_block_++);
  quantised_.enter(block, original(block));
  for (const PlannedStage& stage : stages)
    for (const PlannedMatrix& planned : stage.matrices) quantised_.replace(planned, output_.stored_values(planned));
  quantised_.leave();
  originals_.erase(block);
  meter_.skip_block(stages);
}

/// The solver's result, held until the block is final.
void TunedWalk::solve_block(Index block) {
  const BlockProgram& program = model_.program(block);
  const BlockWeights<float>& weights = original(block);
  Solved& solved = solved_[block];
  if (full_) full_->enter(program);
  quantised_.enter(block, weights);
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
void TunedWalk::pass_through(Index block) {
  Solved& solved = solved_.at(block);
  quantised_.enter(block, std::move(solved.weights));
  solved.weights = *quantised_.leave();
}

/// What an error of each channel counts: the squared gain of the norm that reads it.
std::vector<float> TunedWalk::channel_weights(Index until) {
  if (plan_.tune.weighting == TuneWeighting::None) return {};
  if (until < model_.blocks()) return squared_gains(context_, model_.program(until), original(until));
  return squared_gains(model_.final_gain());
}

void TunedWalk::tune(const TuneWindow& window, MatrixView<const float> input, std::size_t number) {
  while (ahead_block_ < window.until) pass("ahead", ahead_, ahead_block_++);
  const auto trained = [&](Index block) { return !solved_.at(block).matrices.empty(); };
  bool any = false;
  for (Index block = window.first; block < window.last; ++block) any = any || trained(block);
  if (!any) return;  // rules keep all of it
  std::vector<TunedBlock<>> blocks;
  for (Index block = window.first; block < window.last; ++block) {
    Solved& solved = solved_.at(block);
    TunedBlock<> tuned{&model_.program(block), &solved.weights, {}};
    for (auto& [planned, matrix] : solved.matrices) {
      const auto linear = static_cast<std::size_t>(planned->linear);
      tuned.matrices.push_back(
          {planned->linear, original(block).linears[linear].view(), &matrix, planned->matrix.grid.minimum_zero});
    }
    blocks.push_back(std::move(tuned));
  }
  for (Index block = window.last; block < window.until; ++block)  // has no matrices: only read
    blocks.push_back({&model_.program(block), &original(block), {}});
  const std::vector<float> channels = channel_weights(window.until);
  const TuneData<> data{input, ahead_.hidden().view(), channels.empty() ? nullptr : channels.data(), length_};
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
  const TuneReport report = tune_window(context_, plan_.tune, std::move(blocks), data,
                                        plan_.tune.seed + static_cast<std::int64_t>(number), tell);
  for (Index block = window.first; block < window.last; ++block)
    for (auto& [planned, matrix] : solved_.at(block).matrices)
      matrix.report.notes.push_back(report.steps > 0
                                        ? concat("tuned against the output of block ", window.until - 1, ": loss ",
                                                 report.loss, " of ", report.start_loss, " before, after ",
                                                 report.steps, " steps; the error is that of the solve")
                                        : concat("tuning against the output of block ", window.until - 1,
                                                 " found nothing better than the solve, loss ", report.start_loss));
}

/// Writes the blocks that no later window changes, and takes the quantised stream through them from where the window
/// began.
void TunedWalk::settle(const TuneWindow& window, Matrix<float> input) {
  const Format& format = find_format(plan_.format);
  quantised_.restart(std::move(input));
  {
    const Span span(meter_.trace(), "decode");
    for (Index block = window.first; block < window.last; ++block)
      for (const auto& [planned, matrix] : solved_.at(block).matrices)
        solved_.at(block).weights.linears[static_cast<std::size_t>(planned->linear)] =
            format.stored_values(planned->matrix, matrix);
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

void TunedWalk::write_block(Index block, Solved& solved) {
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
