// The copier of the CUDA backend: a stream of its own, through a piece of pinned memory.
#pragma once

#include "halftone/backend/copier.hpp"
#include "halftone/backend/cuda.hpp"

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
  void upload(MatrixView<const float> host, MatrixView<float> there);

 private:
  void copy_piece(void* there, Index bytes);  ///< from the pinned memory; waits

  int device_;
  void* stream_ = nullptr;  // cudaStream_t
  CudaMatrix<char, CudaMemory::Pinned> pinned_;
};

}  // namespace halftone
