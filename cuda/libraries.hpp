// cuBLAS and cuSOLVER, as little of them as is used. Column-major, as they are. libraries.cpp has the bodies;
// tests/cuda/emulated_libraries.cpp has others, for a device that the host plays.
#pragma once

#include "engine.hpp"
#include "halftone/core/float16.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

/// Types of elements in products. 16-bit inputs: exact products, sums in float.
enum class Element { F32, F64, F16, BF16 };
template <class T>
constexpr Element element_of();
template <>
constexpr Element element_of<float>() {
  return Element::F32;
}
template <>
constexpr Element element_of<double>() {
  return Element::F64;
}
template <>
constexpr Element element_of<Float16>() {
  return Element::F16;
}
template <>
constexpr Element element_of<BFloat16>() {
  return Element::BF16;
}

/// C = alpha · op(A) · op(B) + beta · C, column-major: op(A) [m, k], op(B) [k, n], C [m, n].
struct Product {
  bool transpose_a = false, transpose_b = false;
  Index m = 0, n = 0, k = 0;
  double alpha = 1, beta = 0;
  Element inputs = Element::F32;   ///< of A and B
  Element results = Element::F32;  ///< of C: F64 with F64 inputs, else F32
  Index lda = 0, ldb = 0, ldc = 0;
};

class CudaLibraries {
 public:
  /// Loads the libraries. Throws Status::Unsupported, saying which is missing.
  CudaLibraries(CudaDevice& device, CudaArena& arena);
  ~CudaLibraries();
  CudaLibraries(const CudaLibraries&) = delete;
  CudaLibraries& operator=(const CudaLibraries&) = delete;

  void multiply(const Product& product, const void* A, const void* B, void* C);
  /// The same for `count` triples; arrays of pointers in device memory.
  void multiply_all(const Product& product, const void* const* A, const void* const* B, void* const* C, Index count);

  /// Upper triangle of symmetric A [n, n] := R with A = Rᵀ R; F32 or F64. Below the diagonal anything.
  /// Returns −1, or the first pivot that was not positive. Waits for the device.
  Index cholesky(Element element, Index n, void* A, Index lda);
  /// Upper triangle of A [n, n] := its inverse; F32 or F64. Below the diagonal anything. Returns −1, or the first zero
  /// of the diagonal. Waits for the device.
  Index invert_triangle(Element element, Index n, void* A, Index lda);

 private:
  template <class Query, class Call>
  Index solve(const char* what, Query&& query, Call&& call);

  struct Handles;
  std::unique_ptr<Handles> handles_;
  CudaDevice* device_;
  CudaArena* arena_;
};

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
