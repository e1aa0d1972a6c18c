// Blocks, streams and the walk over a model on the CUDA backend, compiled once: the same templates as on the CPU.
#include "halftone/backend/cuda_copier.hpp"
#include "halftone/backend/cuda_nn.hpp"
#include "halftone/quant/cuda_dequantize.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "model/executor.impl.hpp"
#include "model/stream.impl.hpp"
#include "pipeline/walk.impl.hpp"
#include "pipeline/walk_device.hpp"

namespace halftone {

template class BlockRunner<float, Cuda>;
template class Stream<float, Cuda>;
template class QuantisedStream<Cuda>;
template class Walk<Cuda>;

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
  void walk(const Context<Cpu>& host, const Model& model, const RunPlan& plan, MatrixView<const std::int32_t> ids,
            Reading reading, WalkOutput& output, ProgressMeter& meter) const override {
    Walk<Cuda>({host, context_}, model, plan, ids, reading, output, meter, {.resident = plan.device.resident}).run();
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
