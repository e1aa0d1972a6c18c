#include "pipeline/progress_meter.hpp"

#include <algorithm>  // min

namespace halftone {

ProgressMeter::ProgressMeter(const RunPlan& plan, const ProgressCallback& callback, std::string_view when_stopped)
    : plan_(plan), callback_(callback), when_stopped_(when_stopped) {
  now_.blocks = static_cast<Index>(plan.blocks.size());
  now_.matrices = plan.matrices();
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) work_ += work_of(planned);
}

double ProgressMeter::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

/// Flops of a matrix and its share of forward passes and statistics, up to a factor.
double ProgressMeter::work_of(const PlannedMatrix& planned) const {
  const double elements = static_cast<double>(planned.matrix.rows) * static_cast<double>(planned.matrix.cols);
  const auto tokens = static_cast<double>(plan_.tokens());
  const double trained = std::min(tokens, static_cast<double>(plan_.tune.batch) * static_cast<double>(plan_.length));
  const double tuning = 6.0 * plan_.tune.steps * trained * (1 + plan_.tune.lookahead);
  return elements * (static_cast<double>(planned.matrix.cols) + 2 * plan_.streams() * tokens + tuning);
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
