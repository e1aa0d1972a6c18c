#include "pipeline/progress_meter.hpp"

#include <algorithm>  // min

namespace halftone {

ProgressMeter::ProgressMeter(const RunPlan& plan, const ProgressCallback& callback, std::string_view when_stopped,
                             Trace* trace)
    : plan_(plan), callback_(callback), when_stopped_(when_stopped), trace_(trace) {
  now_.blocks = static_cast<Index>(plan.blocks.size());
  now_.matrices = plan.matrices();
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) work_ += work_of(planned);
  if (plan.tune.steps == 0) return;
  for (const TuneWindow& window : tune_windows(now_.blocks, plan.tune)) work_ += work_of(window);
}

double ProgressMeter::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

/// Flops of a matrix and its share of forward passes and statistics, up to a factor.
double ProgressMeter::work_of(const PlannedMatrix& planned) const {
  const auto cols = static_cast<double>(planned.matrix.cols), tokens = static_cast<double>(plan_.tokens());
  return static_cast<double>(planned.matrix.rows) * cols * (cols + 2 * plan_.streams() * tokens);
}

/// Flops of all steps of a window up to the same factor: 6 a weight and token where it is trained, 4 where it is not.
double ProgressMeter::work_of(const TuneWindow& window) const {
  const auto tokens = static_cast<double>(std::min<Index>(plan_.tune.batch, plan_.windows) * plan_.length);
  double flops = 0;
  for (Index block = window.first; block < window.until; ++block)
    for (const PlannedStage& stage : plan_.blocks[static_cast<std::size_t>(block)])
      for (const PlannedMatrix& planned : stage.matrices)
        flops += (block < window.last ? 6 : 4) * static_cast<double>(planned.matrix.rows * planned.matrix.cols);
  return flops * tokens * plan_.tune.steps;
}

void ProgressMeter::tuned(const TuneWindow& window, const TuningStep& step) {
  work_done_ += work_of(window) / step.steps;
  now_.tuning = &step;
  report(Phase::Tune);
  now_.tuning = nullptr;
  check();
}

bool ProgressMeter::report(Phase phase, std::string_view module, const SolveReport* solve) {
  now_.phase = phase;
  now_.module = module;
  now_.report = solve;
  now_.seconds = seconds();
  if (phase >= Phase::Replay && work_begins_ < 0) work_begins_ = now_.seconds;
  now_.seconds_left = work_done_ > 0 ? (now_.seconds - work_begins_) * (work_ - work_done_) / work_done_ : -1;
  if (callback_ && !stopped_) stopped_ = !callback_(now_);
  return !stopped_;
}

void ProgressMeter::check() const {
  if (!stopped_) return;
  fail(Status::Cancelled, "quantize: stopped as asked, ", now_.blocks_done, " of ", now_.blocks,
       " blocks are finished; ", when_stopped_);
}

void ProgressMeter::skip_block(const std::vector<PlannedStage>& stages) {
  for (const PlannedStage& stage : stages)
    for (const PlannedMatrix& planned : stage.matrices) {
      work_ -= work_of(planned);
      ++now_.matrices_done;
    }
  ++now_.blocks_done;
}

void ProgressMeter::matrix_done(const PlannedMatrix& planned) {
  work_done_ += work_of(planned);
  ++now_.matrices_done;
}

}  // namespace halftone
