// The copier of the CUDA backend: a stream of its own, through a piece of pinned memory.
#pragma once

#include "halftone/backend/copier.hpp"
#include "halftone/backend/cuda.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

template <>
class Copier<Cuda> {
 public:
  /// Throws Status::Device, Status::OutOfMemory.
  explicit Copier(const Context<Cuda>& context);
  ~Copier();
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  /// Both [rows, cols] and contiguous. Nothing that is queued on the context may use `there` meanwhile. Throws
  /// Status::ShapeMismatch, Status::Device.
  template <class T>
  void upload(std::type_identity_t<MatrixView<const T>> host, MatrixView<T> there) {
    require_shapes(host, there);
    upload_bytes(host.data, there.data, host.size() * static_cast<Index>(sizeof(T)));
  }
  /// The same from pinned memory, without a piece between. Throws likewise.
  template <class T>
  void upload_pinned(std::type_identity_t<MatrixView<const T>> host, MatrixView<T> there) {
    require_shapes(host, there);
    copy_pinned(host.data, there.data, host.size() * static_cast<Index>(sizeof(T)), Transfer::FromHost);
  }
  /// The way back. What makes `there` must be done before. Throws likewise.
  template <class T>
  void download_pinned(std::type_identity_t<MatrixView<const T>> there, MatrixView<T> host) {
    require_shapes(there, host);
    copy_pinned(there.data, host.data, host.size() * static_cast<Index>(sizeof(T)), Transfer::ToHost);
  }

 private:
  template <class T>
  static void require_shapes(MatrixView<const T> from, MatrixView<T> to) {
    const bool contiguous = (from.rows <= 1 || from.stride == from.cols) && (to.rows <= 1 || to.stride == to.cols);
    require(from.rows == to.rows && from.cols == to.cols && contiguous, Status::ShapeMismatch,
            "cuda copier: ", from.rows, " x ", from.cols, " to ", to.rows, " x ", to.cols,
            ", wanted contiguous matrices of one shape");
  }
  void upload_bytes(const void* host, void* there, Index bytes);
  void copy_pinned(const void* from, void* to, Index bytes, Transfer way);  ///< waits

  int device_;
  void* stream_ = nullptr;  // cudaStream_t
  CudaMatrix<char, CudaMemory::Pinned> pinned_;
};

}  // namespace halftone
