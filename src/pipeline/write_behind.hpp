// An output that is written by a thread of its own, behind the walk: matrices are encoded, written, read back and
// compared, blocks flushed and recorded while the walk goes on. In the order in which the walk hands them over, so that
// a journal names a block once it is on the disk, and the bytes are those of a walk that waits.
#pragma once

#include <vector>

#include "pipeline/walk_output.hpp"
#include "pipeline/worker.hpp"

namespace halftone {

class WriteBehind final : public WalkOutput {
 public:
  /// At most the matrices of the plan's largest block wait to be written. All arguments must outlive the object;
  /// `trace` may be null. What `output` throws comes out of the next call here; what was handed over after it is lost.
  WriteBehind(WalkOutput& output, const RunPlan& plan, Trace* trace);
  /// Writes what was handed over.
  ~WriteBehind() override = default;

  Index finished_blocks() const override { return output_.finished_blocks(); }
  /// Only before anything is handed over.
  Matrix<float> stored_values(const PlannedMatrix& planned) const override { return output_.stored_values(planned); }
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) override;
  void block_done(Index block) override;
  bool recorded(Index block) const override { return writer_.done(last_task_of(block)); }
  void wait_recorded(Index block) override { writer_.wait(last_task_of(block)); }
  /// Not behind the walk: there is nothing to wait for before tuning goes on.
  void keep_window(std::size_t window, const SolvedMatrices& matrices) override {
    output_.keep_window(window, matrices);
  }
  std::optional<KeptWindow> kept_window() override { return output_.kept_window(); }

 private:
  Index last_task_of(Index block) const { return last_tasks_[static_cast<std::size_t>(block)]; }

  WalkOutput& output_;
  std::vector<Index> last_tasks_;  ///< of each block; before it is handed over, one that never is done
  Worker writer_;                  // last: its thread uses what is above
};

/// Numbers of codes in the block that has most: what may wait of a walk's output, in bytes.
Index most_codes_of_a_block(const RunPlan& plan);

}  // namespace halftone
