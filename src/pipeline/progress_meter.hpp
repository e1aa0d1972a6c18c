// Counts a run's work, estimates what is left, and carries the caller's wish to stop.
#pragma once

#include <chrono>

#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/progress.hpp"
#include "halftone/pipeline/trace.hpp"

namespace halftone {

class ProgressMeter {
 public:
  /// `when_stopped`: what becomes of the finished blocks, for the message. All arguments must outlive the meter.
  ProgressMeter(const RunPlan& plan, const ProgressCallback& callback, std::string_view when_stopped,
                Trace* trace = nullptr);

  double seconds() const;
  /// Where spans of the run go; null: nowhere.
  Trace* trace() const { return trace_; }
  /// Tells the caller where the run is. False once the caller has asked to stop.
  bool report(Phase phase, std::string_view module = {}, const SolveReport* solve = nullptr);
  /// True once the caller has asked to stop.
  bool stopped() const { return stopped_; }
  /// Throws Status::Cancelled if the caller has asked to stop.
  void check() const;
  /// report, then check.
  void step(Phase phase) {
    report(phase);
    check();
  }
  /// A block that an earlier run finished: its matrices count as done, but not as work of this run.
  void skip_block(const std::vector<PlannedStage>& stages);
  void matrix_done(const PlannedMatrix& planned);
  /// A window that an earlier run finished.
  void skip_window(const TuneWindow& window) { work_ -= work_of(window); }
  /// One more step of a window is done; throws as `check`.
  void tuned(const TuneWindow& window, const TuningStep& step);
  void block_done() { ++now_.blocks_done; }
  Index blocks_done() const { return now_.blocks_done; }

 private:
  double work_of(const PlannedMatrix& planned) const;
  double work_of(const TuneWindow& window) const;

  const RunPlan& plan_;
  const ProgressCallback& callback_;
  std::string_view when_stopped_;
  Trace* trace_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Progress now_;
  double work_ = 0, work_done_ = 0;  ///< of this run
  double work_begins_ = -1;          ///< seconds() when the first block began
  bool stopped_ = false;
};

}  // namespace halftone
