// inverse_factor: UᵀU = A⁻¹, failing pivots, threads.
#include <limits>

#include "halftone/backend/linear_algebra.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Reversed Cholesky and inverse by the textbook, in double: A = R Rᵀ, U = R⁻¹.
Matrix<double> naive_inverse_factor(const Matrix<double>& A) {
  const Index n = A.rows();
  Matrix<double> R(n, n, 0.0), U(n, n, 0.0);
  for (Index j = n - 1; j >= 0; --j)
    for (Index i = j; i >= 0; --i) {
      double sum = A(i, j);
      for (Index k = j + 1; k < n; ++k) sum -= R(i, k) * R(j, k);
      R(i, j) = i == j ? std::sqrt(sum) : sum / R(j, j);
    }
  for (Index j = 0; j < n; ++j)
    for (Index i = j; i >= 0; --i) {
      double sum = i == j ? 1 : 0;
      for (Index k = i + 1; k <= j; ++k) sum -= R(i, k) * U(k, j);
      U(i, j) = sum / R(i, i);
    }
  return U;
}

/// XᵀX / tokens + 0.01, well conditioned, both triangles.
template <class S>
Matrix<S> second_moments(Index n, std::uint64_t seed) {
  const Index tokens = 2 * n + 8;
  const auto X = random_matrix<double>(tokens, n, seed);
  Matrix<double> H(n, n);
  gemm<double>(Context<Cpu>(2), Transpose::Yes, Transpose::No, 1.0 / static_cast<double>(tokens), X, X, 0.0, H);
  Matrix<S> result(n, n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      result(i, j) = static_cast<S>(H(std::min(i, j), std::max(i, j)) + (i == j ? 0.01 : 0));
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("inverse_factor equals the textbook", "", float, double) {
  using S = TestType;
  const double unit = std::numeric_limits<S>::epsilon();
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa, kernels->products);
    for (Index n : {1, 2, 7, 64, 128, 129, 130, 257, 385, 520}) {
      CAPTURE(n);
      const auto A = second_moments<S>(n, 7);
      Matrix<double> exact(n, n);
      for (Index i = 0; i < n * n; ++i) exact.data()[i] = static_cast<double>(A.data()[i]);
      const auto expected = naive_inverse_factor(exact);
      auto U = A;
      for (Index i = 0; i < n; ++i)  // what is below the diagonal is not read
        for (Index j = 0; j < i; ++j) U(i, j) = std::numeric_limits<S>::quiet_NaN();
      REQUIRE(inverse_factor<S>(Context<Cpu>(2, *kernels), U) == -1);
      // U has entries of order 1 and the condition of A is below 100.
      CHECK(largest_difference(U, expected) < 2000 * unit);
    }
  }
}

TEMPLATE_TEST_CASE("inverse_factor in panels: U inside of them, R = A Uᵀ above, zeros below", "", float, double) {
  using S = TestType;
  const double unit = std::numeric_limits<S>::epsilon();
  const Context<Cpu> context(2);
  for (Index n : {1, 7, 128, 129, 300}) {
    const auto A = second_moments<S>(n, 7);
    Matrix<double> exact(n, n), R(n, n);
    for (Index i = 0; i < n * n; ++i) exact.data()[i] = static_cast<double>(A.data()[i]);
    const auto U = naive_inverse_factor(exact);
    gemm<double>(context, Transpose::No, Transpose::Yes, 1, exact, U, 0, R);
    for (Index panel : {1, 6, 100, 128, 299, 300, 1000}) {
      CAPTURE(n, panel);
      auto factor = A;
      REQUIRE(inverse_factor<S>(context, factor, panel) == -1);
      double largest = 0;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) {
          const double expected = j < i ? 0.0 : i / panel == j / panel ? U(i, j) : R(i, j);
          largest = std::max(largest, std::abs(static_cast<double>(factor(i, j)) - expected));
        }
      CHECK(largest < 2000 * unit);
    }
  }
  Matrix<S> A(3, 3, S(1));
  CHECK_THROWS_AS(inverse_factor<S>(context, A, 0), Error);
  CHECK_THROWS_AS(inverse_factor<S>(context, A, -1), Error);
}

TEST_CASE("inverse_factor: U A Uᵀ is the identity") {
  const Index n = 300;
  const Context<Cpu> context(2);
  const auto A = second_moments<double>(n, 8);
  auto U = A;
  REQUIRE(inverse_factor<double>(context, U) == -1);
  Matrix<double> UA(n, n), product(n, n), identity(n, n, 0.0);
  for (Index i = 0; i < n; ++i) identity(i, i) = 1;
  gemm<double>(context, Transpose::No, Transpose::No, 1, U, A, 0, UA);
  gemm<double>(context, Transpose::No, Transpose::Yes, 1, UA, U, 0, product);
  CHECK(largest_difference(product, identity) < 1e-12);
}

TEST_CASE("inverse_factor names the pivot that fails") {
  const Context<Cpu> context(2);
  for (Index n : {1, 5, 200, 300})
    for (Index bad : {Index{0}, n / 2, n - 1})
      for (double value :
           {0.0, -1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        CAPTURE(n, bad, value);
        Matrix<float> A(n, n, 0.0f);
        for (Index i = 0; i < n; ++i) A(i, i) = 2;
        A(bad, bad) = static_cast<float>(value);
        CHECK(inverse_factor<float>(context, A) == bad);
      }
  Matrix<double> singular(3, 3, 1.0);  // rank one: the second pivot from the end is 0
  CHECK(inverse_factor<double>(context, singular) == 1);
  Matrix<float> tall(3, 2);
  CHECK_THROWS_AS(inverse_factor<float>(context, tall), Error);
}

TEST_CASE("inverse_factor is stable where one direction dominates") {
  // H = 1e4 · 11ᵀ + I: in float, products with inverted blocks instead of substitution would lose the small pivots.
  const Index n = 400;
  Matrix<float> A(n, n, 1e4f);
  for (Index i = 0; i < n; ++i) A(i, i) += 1;
  Matrix<double> exact(n, n);
  for (Index i = 0; i < n * n; ++i) exact.data()[i] = static_cast<double>(A.data()[i]);
  const auto expected = naive_inverse_factor(exact);
  REQUIRE(inverse_factor<float>(Context<Cpu>(2), A) == -1);
  CHECK(largest_difference(A, expected) < 5e-2);  // condition 4e6 times the unit of float is 0.2
}

TEMPLATE_TEST_CASE("inverse_factor gives the same bytes for any number of threads", "", float, double) {
  using S = TestType;
  auto one = second_moments<S>(400, 9);
  auto three = one;
  REQUIRE(inverse_factor<S>(Context<Cpu>(1), one) == -1);
  REQUIRE(inverse_factor<S>(Context<Cpu>(3), three) == -1);
  CHECK(one == three);
}

TEST_CASE("inverse_factor works on a window of a larger matrix") {
  const Index n = 150;
  const auto A = second_moments<double>(n, 10);
  auto alone = A;
  Matrix<double> wide(n + 2, n + 5, 3.0);
  const auto window = wide.view().block(1, 2, n, n);
  for (Index i = 0; i < n; ++i) std::copy_n(A.row(i), n, window.row(i));
  REQUIRE(inverse_factor<double>(Context<Cpu>(1), alone) == -1);
  REQUIRE(inverse_factor<double>(Context<Cpu>(1), window) == -1);
  CHECK(Matrix<double>(MatrixView<const double>(window)) == alone);
  CHECK(wide(0, 0) == 3.0);
  CHECK(wide(n + 1, n + 4) == 3.0);
  CHECK(wide(5, 1) == 3.0);
  CHECK(wide(5, n + 2) == 3.0);
}
