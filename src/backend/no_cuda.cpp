// What a build without CUDA says of it.
#include "halftone/backend/cuda.hpp"

#if !defined(HALFTONE_HAS_CUDA)
namespace halftone {
inline namespace HALFTONE_DEVICE {
CudaDevices cuda_devices() { return {{}, "this build has no CUDA backend"}; }
}  // namespace HALFTONE_DEVICE
}  // namespace halftone
#endif
