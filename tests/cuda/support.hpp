// A context of the CUDA backend, and comparisons with the CPU's.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>

#include "error_text.hpp"
#include "halftone/backend/cuda_primitives.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

/// A context; nothing, and a line that CTest takes for a skip, where there is no GPU.
inline std::unique_ptr<Context<Cuda>> device_context(const CudaOptions& options = {}) {
  const CudaDevices found = cuda_devices();
  if (found.problem.empty()) return std::make_unique<Context<Cuda>>(options);
  std::printf("skipped: no GPU: %s\n", found.problem.c_str());
  return nullptr;
}

/// Begins a test case: `name`, a Context<Cuda>, or the case is skipped.
#define HALFTONE_DEVICE_CASE(name)                           \
  const auto held_##name = halftone::test::device_context(); \
  if (!held_##name) return;                                  \
  const Context<Cuda>& name = *held_##name

/// Takes so many bytes of the device's memory, to a kilobyte.
class Ballast {
 public:
  Ballast(const Context<Cuda>& context, Index bytes)
      : large_(context.allocate<char>(1, bytes / unit * unit)),
        half_(context.allocate<char>(1, bytes % unit / 2)),
        other_(context.allocate<char>(1, bytes % unit / 2)) {}

 private:
  static constexpr Index unit = Index{2} << 20;  // what large blocks are rounded up to; small ones are to less
  CudaMatrix<char> large_, half_, other_;
};

template <class T>
Matrix<T> on_host(const Context<Cuda>& context, const CudaMatrix<T>& matrix) {
  return context.download(matrix.view());
}
template <class T>
CudaMatrix<T> on_device(const Context<Cuda>& context, const Matrix<T>& matrix) {
  return context.upload(matrix.view());
}

/// max |a − b| / max |b|.
template <class S>
double relative_difference(const Matrix<S>& a, const Matrix<S>& b) {
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  double difference = 0, size = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (std::isnan(x) != std::isnan(y)) return 1e300;
    difference = std::max(difference, std::abs(x - y));
    size = std::max(size, std::abs(y));
  }
  return size == 0 ? difference : difference / size;
}

}  // namespace halftone::test
