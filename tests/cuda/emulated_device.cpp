// The device that the host plays: memory of the host, everything done when it is asked for. New memory is filled with
// ones (NaN as float), so that what reads before it writes is found out.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "cuda/device.hpp"
#include "halftone/backend/cuda_copier.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

CudaDevices cuda_devices() { return {{{0, "the host, playing a device", 0, 0, 1, Index{1} << 32, {}}}, {}}; }

CudaDevice::CudaDevice(int ordinal) {
  require(ordinal == 0, Status::InvalidArgument, "cuda context: device is ", ordinal, ", wanted 0 .. 0");
  info_ = cuda_devices().devices[0];
}
CudaDevice::~CudaDevice() = default;
void CudaDevice::make_current() {}
Index CudaDevice::free_bytes() const { return info_.memory_bytes; }

void* CudaDevice::allocate(CudaMemory, Index bytes) {
  void* const memory = std::aligned_alloc(512, static_cast<std::size_t>((bytes + 511) / 512 * 512));
  if (memory) std::memset(memory, 0xff, static_cast<std::size_t>(bytes));
  return memory;
}
void CudaDevice::release(CudaMemory, void* memory) noexcept { std::free(memory); }

void CudaDevice::copy(void* to, Index to_stride, const void* from, Index from_stride, Index row_bytes, Index rows,
                      Transfer) {
  if (row_bytes == 0) return;
  for (Index r = 0; r < rows; ++r)
    std::memcpy(static_cast<char*>(to) + r * to_stride, static_cast<const char*>(from) + r * from_stride,
                static_cast<std::size_t>(row_bytes));
}
void CudaDevice::zero(void* to, Index stride, Index row_bytes, Index rows) {
  if (row_bytes == 0) return;
  for (Index r = 0; r < rows; ++r)
    std::memset(static_cast<char*>(to) + r * stride, 0, static_cast<std::size_t>(row_bytes));
}
void CudaDevice::synchronize() {}

}  // namespace HALFTONE_DEVICE

/// Its pinned memory is small, so that there are many pieces.
Copier<Cuda>::Copier(const Context<Cuda>& context) : device_(0), pinned_(context.allocate_host<char>(1, 1000)) {}
Copier<Cuda>::~Copier() = default;
/// Late, so that what does not wait for it shows.
void Copier<Cuda>::copy_pinned(const void* from, void* to, Index bytes, Transfer) {
  std::this_thread::sleep_for(std::chrono::microseconds(300));
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

}  // namespace halftone
