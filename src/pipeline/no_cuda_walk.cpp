// What a build without CUDA says to a run that asks for it.
#include "halftone/core/error.hpp"
#include "pipeline/walk_device.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

std::unique_ptr<WalkDevice> cuda_walk_device(const CudaOptions& options) {
  fail(Status::Unsupported, "device cuda:", options.device, ": ", cuda_devices_text());
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
