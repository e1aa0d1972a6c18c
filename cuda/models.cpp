// Blocks, streams, the walks over a model, evaluation and comparison on the CUDA backend, compiled once: the same
// templates as on the CPU.
#include "halftone/backend/cuda_copier.hpp"
#include "halftone/backend/cuda_nn.hpp"
#include "halftone/quant/cuda_dequantize.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "model/evaluation.impl.hpp"
#include "model/executor.impl.hpp"
#include "model/stream.impl.hpp"
#include "pipeline/comparison_run.impl.hpp"
#include "pipeline/tuned_walk.impl.hpp"
#include "pipeline/tuning_cost.hpp"
#include "pipeline/walk.impl.hpp"
#include "pipeline/walk_device.hpp"

namespace halftone {

template class BlockRunner<float, Cuda>;
template class Stream<float, Cuda>;
template class QuantisedStream<Cuda>;
template class Walk<Cuda>;
template class TunedWalk<Cuda>;

inline namespace HALFTONE_DEVICE {
namespace {

class CudaWalkDevice final : public WalkDevice {
 public:
  explicit CudaWalkDevice(const CudaOptions& options) : context_(options) {}

  std::string name() const override {
    const CudaDeviceInfo& info = context_.info();
    return concat("cuda: ", info.name, ", sm_", info.major, info.minor);
  }
  Index memory_limit() const override { return context_.memory_limit() - context_.memory_in_use(); }
  Index tuning_bytes(const Model& model, const RunPlan& plan, const TuneWindow& window) const override {
    return halftone::tuning_bytes(tuned_chain(context_, model, plan, window), model, plan, window);
  }
  void walk(const Context<Cpu>& host, const Model& model, const RunPlan& plan, MatrixView<const std::int32_t> ids,
            Reading reading, WalkOutput& output, ProgressMeter& meter) const override {
    const StreamOptions options{.resident = plan.device.resident};
    if (plan.tune.steps > 0)
      TunedWalk<Cuda>({host, context_}, model, plan, ids, output, meter, options).run();
    else
      Walk<Cuda>({host, context_}, model, plan, ids, reading, output, meter, options).run();
  }
  Evaluation evaluate(const Context<Cpu>& host, const Model& model, MatrixView<const std::int32_t> ids,
                      const Model* reference, const EvaluationProgress& progress) const override {
    const EvaluationRoom room = evaluation_room(model, ids, reference, memory_limit());
    return evaluate_on(host, context_, model, ids, reference, progress, room);
  }
  std::vector<Evaluation> compare(const Context<Cpu>& host, const ComparisonTask& task) const override {
    const ComparisonRoom room = comparison_room(task.model, task.recipes, task.calibration, task.ids, memory_limit());
    return compare_streams<Cuda>({host, context_}, task, room, this);
  }

 private:
  Context<Cuda> context_;
};

}  // namespace

std::unique_ptr<WalkDevice> cuda_walk_device(const CudaOptions& options) {
  return std::make_unique<CudaWalkDevice>(options);
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
