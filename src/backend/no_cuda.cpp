// What a build without CUDA says of it.
#include "halftone/backend/cuda.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {
CudaDevices cuda_devices() { return {{}, "this build has no CUDA backend"}; }
}  // namespace HALFTONE_DEVICE
}  // namespace halftone
