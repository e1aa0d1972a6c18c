// The CPU backend: OpenMP threads, Eigen or oneDNN products, kernels for the instruction set found at run time.
#pragma once

#include "halftone/backend/context.hpp"
#include "halftone/core/parallel.hpp"

namespace halftone {

/// Tag of the CPU backend.
struct Cpu {
  static constexpr const char* name = "cpu";
  template <class T>
  using Matrix = halftone::Matrix<T>;
};

template <>
class Context<Cpu> {
 public:
  /// `threads`: 0 takes what the machine offers this process. Throws Status::InvalidArgument for a negative number.
  explicit Context(int threads = 0) : threads_(threads == 0 ? available_threads() : threads) {
    require(threads >= 0, Status::InvalidArgument, "cpu context: threads is ", threads, ", wanted 0 or more");
  }

  int threads() const noexcept { return threads_; }

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
  /// Backend to host: on the CPU a copy.
  template <class T>
  Matrix<T> download(MatrixView<const T> view) const {
    return Matrix<T>(view);
  }

 private:
  int threads_;
};

static_assert(BackendTag<Cpu>);

}  // namespace halftone
