// A walk's output on the disk: tensors in their files, a line of the log for each matrix, the journal's entry for each
// block.
#pragma once

#include <vector>

#include "pipeline/journal.hpp"
#include "pipeline/layer_log.hpp"
#include "pipeline/output_model.hpp"
#include "pipeline/walk_output.hpp"
#include "pipeline/window_store.hpp"

namespace halftone {

class FolderOutput final : public WalkOutput {
 public:
  /// The journal's blocks are the finished ones: the log begins with their rows. All arguments but `folder`, where the
  /// log is, must outlive the object; `trace` may be null. Throws Status::Io.
  FolderOutput(const RunPlan& plan, OutputModel& output, Journal& journal, WindowStore& windows,
               const std::filesystem::path& folder, Trace* trace);

  Index finished_blocks() const override { return finished_; }
  Matrix<float> stored_values(const PlannedMatrix& planned) const override { return output_.stored_values(planned); }
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) override;
  void block_done(Index block) override;
  void keep_window(std::size_t window, const SolvedMatrices& matrices) override;
  std::optional<KeptWindow> kept_window() override { return windows_.take(); }

 private:
  OutputModel& output_;
  Journal& journal_;
  WindowStore& windows_;
  LayerLog log_;
  Trace* trace_;
  Index finished_;                   ///< before the walk
  std::uint64_t hash_ = 0;           ///< of the block's tensors so far
  std::vector<LayerReport> layers_;  ///< of the block so far
};

/// Rows of all blocks of a journal.
std::vector<LayerReport> finished_layers(const Journal& journal);

}  // namespace halftone
