// What goes over models, block by block, on another processor than the CPU: to quantise and to evaluate them.
#pragma once

#include <memory>
#include <vector>

#include "halftone/backend/compute_device.hpp"
#include "halftone/backend/cuda.hpp"
#include "halftone/model/evaluation.hpp"
#include "halftone/pipeline/plan.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/read_ahead.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

struct ComparisonTask;

class WalkDevice {
 public:
  virtual ~WalkDevice() = default;
  /// As a person and a journal call it: two devices of one name end in the same bytes.
  virtual std::string name() const = 0;
  /// Bytes of its memory that a run may take.
  virtual Index memory_limit() const = 0;
  /// What the tuner takes of it to train a window, beside weights and streams.
  virtual Index tuning_bytes(const Model& model, const RunPlan& plan, const TuneWindow& window) const = 0;
  /// As Walk::run (walk.hpp), or TunedWalk::run (tuned_walk.hpp) where the plan asks for tuning.
  virtual void walk(const Context<Cpu>& host, const Model& model, const RunPlan& plan,
                    MatrixView<const std::int32_t> ids, Reading reading, WalkOutput& output,
                    ProgressMeter& meter) const = 0;
  /// As halftone::evaluate, of what require_evaluable (model/logit_scores.hpp) lets through.
  virtual Evaluation evaluate(const Context<Cpu>& host, const Model& model, MatrixView<const std::int32_t> ids,
                              const Model* reference, const EvaluationProgress& progress) const = 0;
  /// As compare_streams (comparison_run.hpp).
  virtual std::vector<Evaluation> compare(const Context<Cpu>& host, const ComparisonTask& task) const = 0;
};

inline namespace HALFTONE_DEVICE {
/// Throws what Context<Cuda> throws.
std::unique_ptr<WalkDevice> cuda_walk_device(const CudaOptions& options);
}  // namespace HALFTONE_DEVICE

/// Null for the CPU.
std::unique_ptr<WalkDevice> open_walk_device(const ComputeDevice& device);

}  // namespace halftone
