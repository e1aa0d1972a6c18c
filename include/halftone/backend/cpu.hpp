// The CPU backend: OpenMP threads, Eigen or oneDNN products, kernels for the instruction set found at run time.
#pragma once

#include <algorithm>  // copy_n

#include "halftone/backend/context.hpp"
#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/parallel.hpp"

namespace halftone {

/// Tag of the CPU backend.
struct Cpu {
  static constexpr const char* name = "cpu";
  template <class T>
  using Matrix = halftone::Matrix<T>;
  template <class T>
  using HostMatrix = halftone::Matrix<T>;
};

template <>
class Context<Cpu> {
 public:
  /// `threads`: 0 takes what the machine offers this process. `kernels`: must outlive the context. Throws
  /// Status::InvalidArgument for a negative number, and what detail::cpu_kernels() throws about HALFTONE_ISA.
  explicit Context(int threads = 0, const detail::CpuKernels& kernels = detail::cpu_kernels())
      : threads_(threads == 0 ? available_threads() : threads), kernels_(&kernels) {
    require(threads >= 0, Status::InvalidArgument, "cpu context: threads is ", threads, ", wanted 0 or more");
  }

  int threads() const noexcept { return threads_; }
  /// The innermost loops, for the instruction set in use.
  const detail::CpuKernels& kernels() const noexcept { return *kernels_; }
  /// Name of that instruction set: "baseline", "avx2", "avx512"; "user" in header-only mode.
  const char* isa() const noexcept { return kernels_->isa; }
  /// Who multiplies matrices of float: "onednn" or "eigen".
  const char* products() const noexcept { return kernels_->products; }
  /// Units of the processor that multiply 16-bit numbers: "amx", "avx512_bf16", or "" where it has none or no library
  /// for them was found.
  const char* half_units() const noexcept { return kernels_->half.units; }

  /// Uninitialised [rows, cols].
  template <class T>
  Matrix<T> allocate(Index rows, Index cols) const {
    return Matrix<T>(rows, cols);
  }
  /// Host to backend: on the CPU a copy.
  template <class T>
  Matrix<T> upload(MatrixView<const T> view) const {
    return Matrix<T>(view);
  }
  /// A copy in the backend's memory of what is there.
  template <class T>
  Matrix<T> copy(MatrixView<const T> view) const {
    return Matrix<T>(view);
  }
  /// Backend to host: on the CPU a copy.
  template <class T>
  Matrix<T> download(MatrixView<const T> view) const {
    return Matrix<T>(view);
  }
  /// As every backend has them: host memory, and copies between it and the backend's.
  template <class T>
  Matrix<T> allocate_host(Index rows, Index cols) const {
    return Matrix<T>(rows, cols);
  }
  template <class T>
  void transfer(std::type_identity_t<MatrixView<const T>> from, MatrixView<T> to, Transfer) const {
    for (Index row = 0; row < from.rows; ++row) std::copy_n(from.row(row), from.cols, to.row(row));
  }

 private:
  int threads_;
  const detail::CpuKernels* kernels_;
};

static_assert(BackendTag<Cpu>);

}  // namespace halftone
