// Between a walk and its output: which blocks the walk has handed over, and which of them are recorded. The progress
// counts the latter, on the walk's thread.
#pragma once

#include "pipeline/progress_meter.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

class Recording {
 public:
  /// Blocks from `first` on are to be handed over. The arguments must outlive the object.
  Recording(Index first, WalkOutput& output, ProgressMeter& meter)
      : output_(output), meter_(meter), recorded_(first), handed_(first) {}

  /// All matrices of the next block are written: it is to be recorded.
  void hand_over() { output_.block_done(handed_++); }
  /// Tells the progress of blocks that were recorded meanwhile.
  void look() {
    while (recorded_ < handed_ && output_.recorded(recorded_)) count();
  }
  /// Waits until all blocks that were handed over are recorded, and tells.
  void catch_up() {
    if (recorded_ < handed_) output_.wait_recorded(handed_ - 1);
    look();
  }
  /// Throws Status::Cancelled if the caller has asked to stop: once what was handed over is recorded.
  void check() {
    if (meter_.stopped()) catch_up();
    meter_.check();
  }
  void step(Phase phase) {
    meter_.report(phase);
    check();
  }
  /// Catches up after an error of the walk, which is what counts: one of the output is passed over.
  void catch_up_quietly() noexcept {
    try {
      for (; recorded_ < handed_; ++recorded_) {
        output_.wait_recorded(recorded_);
        meter_.block_done();
      }
    } catch (...) {
    }
  }

 private:
  void count() {
    ++recorded_;
    meter_.block_done();
    meter_.report(Phase::Write);
  }

  WalkOutput& output_;
  ProgressMeter& meter_;
  Index recorded_, handed_;  ///< blocks before these
};

}  // namespace halftone
