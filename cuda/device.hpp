// One GPU through the CUDA runtime, one stream on it. device.cpp has the bodies; tests/cuda/emulated_device.cpp has
// others, for a device that the host plays.
#pragma once

#include <string>

#include "halftone/backend/cuda.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

class CudaDevice {
 public:
  /// Throws as Context<Cuda> does.
  explicit CudaDevice(int ordinal);
  ~CudaDevice();
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  const CudaDeviceInfo& info() const noexcept { return info_; }
  /// Bytes that nobody holds.
  Index free_bytes() const;
  /// The stream, a cudaStream_t.
  void* stream() const noexcept { return stream_; }
  /// Makes this the calling thread's device, as launches and library calls need it.
  void make_current();

  /// Null where there is not enough.
  void* allocate(CudaMemory kind, Index bytes);
  void release(CudaMemory kind, void* memory) noexcept;

  void copy(void* to, Index to_stride, const void* from, Index from_stride, Index row_bytes, Index rows, Transfer way);
  /// Sets bytes to zero.
  void zero(void* to, Index stride, Index row_bytes, Index rows);
  void synchronize();

 private:
  CudaDeviceInfo info_;
  void* stream_ = nullptr;
};

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
