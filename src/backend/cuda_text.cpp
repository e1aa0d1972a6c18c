#include "halftone/backend/cuda.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

std::string cuda_devices_text() {
  const CudaDevices found = cuda_devices();
  if (found.devices.empty()) return "not available: " + found.problem;
  std::string text;
  for (const CudaDeviceInfo& device : found.devices) {
    text += concat(text.empty() ? "" : "; ", "cuda:", device.ordinal, " ", device.name, ", ", device.memory_bytes >> 30,
                   " GiB, sm_", device.major, device.minor);
    if (!device.problem.empty()) text += " (not usable: " + device.problem + ")";
  }
  return text;
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
