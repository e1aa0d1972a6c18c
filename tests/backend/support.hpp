// Random matrices, naive references and comparisons for the tests of the backend.
#pragma once

#include <catch2/catch.hpp>

#include <cmath>
#include <vector>

#include "backend/isa.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/core/matrix.hpp"
#include "halftone/core/random.hpp"

namespace halftone::test {

/// Normal numbers, variance 1.
template <class S>
Matrix<S> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  Random random(seed);
  Matrix<S> matrix(rows, cols);
  for (Index i = 0; i < rows * cols; ++i) matrix.data()[i] = static_cast<S>(random.normal());
  return matrix;
}

/// Tables of every instruction set that this machine runs, and the one that contexts take by themselves.
inline std::vector<const detail::CpuKernels*> every_kernels() {
  auto tables = detail::runnable_kernels();
  tables.push_back(&detail::cpu_kernels());
  return tables;
}

/// Largest |a − b| over what `keep(i, j)` picks; infinite where one of them is NaN.
template <class A, class B, class Keep>
double largest_difference(const Matrix<A>& a, const Matrix<B>& b, Keep keep) {
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  double largest = 0;
  for (Index i = 0; i < a.rows(); ++i)
    for (Index j = 0; j < a.cols(); ++j) {
      if (!keep(i, j)) continue;
      const double difference = std::abs(static_cast<double>(a(i, j)) - static_cast<double>(b(i, j)));
      largest = difference <= largest ? largest : std::isnan(difference) ? INFINITY : difference;
    }
  return largest;
}
template <class A, class B>
double largest_difference(const Matrix<A>& a, const Matrix<B>& b) {
  return largest_difference(a, b, [](Index, Index) { return true; });
}

/// alpha · op(A) · op(B) + beta · C in double, element by element; beta = 0 ignores C.
template <class S>
Matrix<double> naive_gemm(Transpose a, Transpose b, S alpha, MatrixView<const S> A, MatrixView<const S> B, S beta,
                          MatrixView<const S> C) {
  Matrix<double> result(C.rows, C.cols);
  const Index k = a == Transpose::Yes ? A.rows : A.cols;
  for (Index i = 0; i < C.rows; ++i)
    for (Index j = 0; j < C.cols; ++j) {
      double sum = 0;
      for (Index p = 0; p < k; ++p)
        sum += static_cast<double>(a == Transpose::Yes ? A(p, i) : A(i, p)) *
               static_cast<double>(b == Transpose::Yes ? B(j, p) : B(p, j));
      result(i, j) = static_cast<double>(alpha) * sum;
      if (beta != S(0)) result(i, j) += static_cast<double>(beta) * static_cast<double>(C(i, j));
    }
  return result;
}

inline bool upper(Index i, Index j) { return j >= i; }

}  // namespace halftone::test
