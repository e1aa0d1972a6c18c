// A walk's output to a program: each matrix's tensors are read back from memory, then handed over.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "halftone/format/checkpoint.hpp"
#include "halftone/pipeline/quantize_tensors.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

class ReceiverOutput final : public WalkOutput {
 public:
  /// `receive` and `trace`, which may be null, must outlive the object. Throws what Format::describe throws.
  ReceiverOutput(const RunPlan& plan, const Checkpoint& source, const TensorReceiver& receive, Trace* trace);

  Index finished_blocks() const override { return 0; }
  Matrix<float> stored_values(const PlannedMatrix& planned) const override;
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) override;
  void block_done(Index) override {}

  const std::vector<LayerReport>& layers() const { return layers_; }
  /// Of all tensors that were sent.
  Index bytes() const { return bytes_; }
  const Json& config() const { return config_; }

 private:
  const Format& format_;
  const TensorReceiver& receive_;
  Trace* trace_;
  Json config_;
  std::vector<LayerReport> layers_;
  Index bytes_ = 0;
};

}  // namespace halftone
