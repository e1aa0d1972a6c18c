// The CUDA backend: one NVIDIA GPU, one stream. Memory of the device, and the context that owns it. No header of CUDA
// is needed to include this; the primitives are declared in cuda_primitives.hpp.
//
// Everything that a context is asked for is queued on its stream and runs in that order; only what comes back to the
// host (download, sums, the fate of a factorisation) waits. A context is used by one thread at a time. The same bytes
// from run to run on one kind of device.
#pragma once

#include <cstdint>
#include <string>
#include <utility>  // exchange
#include <vector>

#include "halftone/backend/context.hpp"

/// Where names of this backend live: tests compile its files a second time, for a device that the host plays.
#if !defined(HALFTONE_DEVICE)
#define HALFTONE_DEVICE cuda_device
#endif

namespace halftone {
inline namespace HALFTONE_DEVICE {

class CudaEngine;  // cuda/engine.hpp: device, memory, libraries

/// A GPU that the driver shows.
struct CudaDeviceInfo {
  int ordinal = 0;  ///< N of cuda:N
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  int multiprocessors = 0;
  Index memory_bytes = 0;
  std::string problem;  ///< why it cannot be used; empty: it can
};

/// What this build and this machine have. Never throws for want of a driver or a device.
struct CudaDevices {
  std::vector<CudaDeviceInfo> devices;
  std::string problem;  ///< why there are none that could be used; empty: there are
};
CudaDevices cuda_devices();

/// "cuda:0: NVIDIA H200, 139 GiB; ..." or "not available: " and why, in one line.
std::string cuda_devices_text();

struct CudaOptions {
  int device = 0;          ///< as the driver counts them
  Index memory_limit = 0;  ///< bytes of device memory that the context takes at most; 0: what is free when it is made
};

/// Whose memory: the device's, or memory of the host that does not move (pinned) and that the device copies at full
/// speed.
enum class CudaMemory { Device, Pinned };

namespace device {
/// Memory of `bytes` from the engine's arena of that kind, and back to it. Throws Status::OutOfMemory.
void* take(CudaEngine& engine, CudaMemory kind, Index bytes);
void give(CudaEngine& engine, CudaMemory kind, void* memory) noexcept;

/// `rows` rows of `row_bytes`, strides in bytes. Waits unless both sides are the device's.
void copy(CudaEngine& engine, void* to, Index to_stride, const void* from, Index from_stride, Index row_bytes,
          Index rows, Transfer way);
template <class T>
void copy(CudaEngine& engine, MatrixView<const T> from, MatrixView<T> to, Transfer way) {
  constexpr auto size = static_cast<Index>(sizeof(T));
  copy(engine, to.data, to.stride * size, from.data, from.stride * size, from.cols * size, from.rows, way);
}
}  // namespace device

/// Owning row-major matrix [rows, cols] in device memory, contiguous; its pointers mean nothing to the host. Or in
/// pinned memory, which the host reads and writes. The context that made it must outlive it. Moves, does not copy:
/// Context<Cuda>::copy does.
template <class T, CudaMemory kind = CudaMemory::Device>
class CudaMatrix {
 public:
  CudaMatrix() = default;
  /// Uninitialised. Throws Status::OutOfMemory.
  CudaMatrix(CudaEngine& engine, Index rows, Index cols) : engine_(&engine), rows_(rows), cols_(cols) {
    const Index bytes = checked_product(checked_product(rows, cols), static_cast<Index>(sizeof(T)));
    if (bytes > 0) data_ = static_cast<T*>(device::take(engine, kind, bytes));
  }
  CudaMatrix(CudaMatrix&& other) noexcept { swap(other); }
  CudaMatrix& operator=(CudaMatrix&& other) noexcept {
    CudaMatrix moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~CudaMatrix() {
    if (data_ != nullptr) device::give(*engine_, kind, data_);
  }

  Index rows() const noexcept { return rows_; }
  Index cols() const noexcept { return cols_; }
  Index size() const noexcept { return rows_ * cols_; }
  bool empty() const noexcept { return size() == 0; }
  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  T* row(Index i) noexcept { return data_ + i * cols_; }
  const T* row(Index i) const noexcept { return data_ + i * cols_; }

  MatrixView<T> view() noexcept { return {data_, rows_, cols_}; }
  MatrixView<const T> view() const noexcept { return {data_, rows_, cols_}; }
  operator MatrixView<T>() noexcept { return view(); }
  operator MatrixView<const T>() const noexcept { return view(); }

  void swap(CudaMatrix& other) noexcept {
    std::swap(engine_, other.engine_);
    std::swap(data_, other.data_);
    std::swap(rows_, other.rows_);
    std::swap(cols_, other.cols_);
  }

 private:
  CudaEngine* engine_ = nullptr;
  T* data_ = nullptr;
  Index rows_ = 0;
  Index cols_ = 0;
};

/// Tag of the CUDA backend.
struct Cuda {
  static constexpr const char* name = "cuda";
  template <class T>
  using Matrix = CudaMatrix<T>;
  template <class T>
  using HostMatrix = CudaMatrix<T, CudaMemory::Pinned>;
};

}  // namespace HALFTONE_DEVICE

template <>
class Context<Cuda> {
 public:
  /// Throws Status::Unsupported, saying why, where the build, the driver or the device cannot; Status::InvalidArgument
  /// for a device that there is not; Status::Device for what the driver refuses; Status::OutOfMemory.
  explicit Context(const CudaOptions& options = {});
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const CudaDeviceInfo& info() const noexcept;
  /// Bytes of device memory that the context takes at most.
  Index memory_limit() const noexcept;
  /// Bytes of device memory that matrices hold, and the most that they held.
  Index memory_in_use() const noexcept;
  Index memory_peak() const noexcept;

  /// Uninitialised [rows, cols].
  template <class T>
  CudaMatrix<T> allocate(Index rows, Index cols) const {
    return CudaMatrix<T>(*engine_, rows, cols);
  }
  /// Host to device. The host's memory may change as soon as this returns.
  template <class T>
  CudaMatrix<T> upload(MatrixView<const T> host) const {
    auto matrix = allocate<T>(host.rows, host.cols);
    device::copy(*engine_, host, matrix.view(), Transfer::FromHost);
    return matrix;
  }
  /// A copy in the device's memory of what is there.
  template <class T>
  CudaMatrix<T> copy(MatrixView<const T> view) const {
    auto matrix = allocate<T>(view.rows, view.cols);
    device::copy(*engine_, view, matrix.view(), Transfer::Within);
    return matrix;
  }
  /// Device to host; waits.
  template <class T>
  Matrix<T> download(MatrixView<const T> view) const {
    Matrix<T> matrix(view.rows, view.cols);
    device::copy(*engine_, view, matrix.view(), Transfer::ToHost);
    return matrix;
  }
  /// Pinned, uninitialised [rows, cols].
  template <class T>
  CudaMatrix<T, CudaMemory::Pinned> allocate_host(Index rows, Index cols) const {
    return CudaMatrix<T, CudaMemory::Pinned>(*engine_, rows, cols);
  }
  /// Copies into memory that is there; waits unless both are the device's.
  template <class T>
  void transfer(std::type_identity_t<MatrixView<const T>> from, MatrixView<T> to, Transfer way) const {
    device::copy<T>(*engine_, from, to, way);
  }
  /// Waits until everything queued is done. Throws Status::Device for what failed on the way.
  void synchronize() const;

  CudaEngine& engine() const noexcept { return *engine_; }

 private:
  CudaEngine* engine_;  // owned; a plain pointer, so that the type need not be known here
};

static_assert(BackendTag<Cuda>);

}  // namespace halftone
