// What is used of cuBLAS and cuSOLVER, by the book: column-major, sums in double.
#include <cmath>

#include "cuda/libraries.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {
namespace {

/// op(A)(i, j) of a column-major A.
template <class T>
double at(const T* A, Index ld, bool transposed, Index i, Index j) {
  const T value = transposed ? A[i * ld + j] : A[j * ld + i];
  if constexpr (sizeof(T) == 2)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<double>(value);
}

template <class T, class R>
void multiply_typed(const Product& p, const void* a, const void* b, void* c) {
  const T *A = static_cast<const T*>(a), *B = static_cast<const T*>(b);
  R* C = static_cast<R*>(c);
  for (Index j = 0; j < p.n; ++j)
    for (Index i = 0; i < p.m; ++i) {
      double sum = 0;
      for (Index l = 0; l < p.k; ++l) sum += at(A, p.lda, p.transpose_a, i, l) * at(B, p.ldb, p.transpose_b, l, j);
      R& out = C[j * p.ldc + i];
      out = static_cast<R>(p.alpha * sum + (p.beta == 0 ? 0.0 : p.beta * static_cast<double>(out)));
    }
}

template <class T>
Index cholesky_typed(Index n, T* A, Index ld) {
  const auto R = [&](Index i, Index j) -> T& { return A[j * ld + i]; };
  for (Index j = 0; j < n; ++j) {  // A = RᵀR by columns
    for (Index i = 0; i <= j; ++i) {
      double sum = static_cast<double>(R(i, j));
      for (Index l = 0; l < i; ++l) sum -= static_cast<double>(R(l, i)) * static_cast<double>(R(l, j));
      if (i == j && sum <= 0) return j;
      R(i, j) = static_cast<T>(i == j ? std::sqrt(sum) : sum / static_cast<double>(R(i, i)));
    }
  }
  return -1;
}

template <class T>
Index invert_typed(Index n, T* A, Index ld) {
  const auto R = [&](Index i, Index j) -> T& { return A[j * ld + i]; };
  std::vector<double> column(static_cast<std::size_t>(n));
  for (Index j = 0; j < n; ++j) {  // column by column: the columns before j are inverted
    if (R(j, j) == T(0)) return j;
    for (Index i = 0; i < j; ++i) {
      double sum = 0;
      for (Index l = i; l < j; ++l) sum += static_cast<double>(R(i, l)) * static_cast<double>(R(l, j));
      column[static_cast<std::size_t>(i)] = -sum / static_cast<double>(R(j, j));
    }
    for (Index i = 0; i < j; ++i) R(i, j) = static_cast<T>(column[static_cast<std::size_t>(i)]);
    R(j, j) = static_cast<T>(1 / static_cast<double>(R(j, j)));
  }
  return -1;
}

}  // namespace

struct CudaLibraries::Handles {};

CudaLibraries::CudaLibraries(CudaDevice& device, CudaArena& arena) : device_(&device), arena_(&arena) {}
CudaLibraries::~CudaLibraries() = default;

void CudaLibraries::multiply(const Product& p, const void* A, const void* B, void* C) {
  switch (p.inputs) {
    case Element::F32: return multiply_typed<float, float>(p, A, B, C);
    case Element::F64: return multiply_typed<double, double>(p, A, B, C);
    case Element::F16: return multiply_typed<Float16, float>(p, A, B, C);
    case Element::BF16: return multiply_typed<BFloat16, float>(p, A, B, C);
  }
}

void CudaLibraries::multiply_all(const Product& p, const void* const* A, const void* const* B, void* const* C,
                                 Index count) {
  for (Index i = 0; i < count; ++i) multiply(p, A[i], B[i], C[i]);
}

Index CudaLibraries::cholesky(Element element, Index n, void* A, Index lda) {
  return element == Element::F64 ? cholesky_typed(n, static_cast<double*>(A), lda)
                                 : cholesky_typed(n, static_cast<float*>(A), lda);
}

Index CudaLibraries::invert_triangle(Element element, Index n, void* A, Index lda) {
  return element == Element::F64 ? invert_typed(n, static_cast<double*>(A), lda)
                                 : invert_typed(n, static_cast<float*>(A), lda);
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
