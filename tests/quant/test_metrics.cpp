#include "halftone/quant/metrics.hpp"

#include <catch2/catch.hpp>

#include "random_matrix.hpp"

using namespace halftone;
using halftone::test::random_inputs;
using halftone::test::random_matrix;

namespace {
template <class S>
double naive_form(const Matrix<S>& A, const Matrix<S>& H) {
  double sum = 0;
  for (Index r = 0; r < A.rows(); ++r)
    for (Index i = 0; i < A.cols(); ++i)
      for (Index j = 0; j < A.cols(); ++j)
        sum += static_cast<double>(A(r, i)) * static_cast<double>(H(i, j)) * static_cast<double>(A(r, j));
  return sum;
}

template <class S>
Matrix<S> symmetric(Index n, std::uint64_t seed) {
  Matrix<S> H = random_matrix<S>(n, n, seed);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) H(i, j) = H(j, i);
  for (Index i = 0; i < n; ++i) H(i, i) += static_cast<S>(2 * n);
  return H;
}
}  // namespace

TEMPLATE_TEST_CASE("the quadratic form is the sum that its name says", "", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 1e-6 : 1e-13;
  const Context<Cpu> context(2);
  for (Index n : {1, 13, 512, 700}) {  // below, at and above one block of columns
    const auto A = random_matrix<TestType>(3, n, 1);
    const auto H = symmetric<TestType>(n, 2);
    CHECK(quadratic_form(context, std::as_const(A).view(), H) == Approx(naive_form(A, H)).epsilon(tolerance));
  }
}

TEST_CASE("the quadratic error with H = XᵀX is the squared output error") {
  const Context<Cpu> context(1);
  const auto W = random_matrix<double>(4, 11, 3), Q = random_matrix<double>(4, 11, 4),
             X = random_inputs<double>(30, 11, 5);
  Matrix<double> H(11, 11, 0.0);
  for (Index t = 0; t < 30; ++t)
    for (Index i = 0; i < 11; ++i)
      for (Index j = 0; j < 11; ++j) H(i, j) += X(t, i) * X(t, j);
  double squared = 0, reference = 0;
  for (Index t = 0; t < 30; ++t)
    for (Index r = 0; r < 4; ++r) {
      double error = 0, output = 0;
      for (Index j = 0; j < 11; ++j) {
        error += X(t, j) * (Q(r, j) - W(r, j));
        output += X(t, j) * W(r, j);
      }
      squared += error * error;
      reference += output * output;
    }
  CHECK(quadratic_error(context, std::as_const(Q).view(), W, H) == Approx(squared).epsilon(1e-12));
  CHECK(relative_output_error(context, std::as_const(Q).view(), W, H) == Approx(squared / reference).epsilon(1e-12));
}

TEST_CASE("nothing compared with nothing is no error") {
  CHECK(relative_error(0, 0) == 0);
  CHECK(relative_error(1, 4) == 0.25);
}

TEST_CASE("sums are the same bits on any number of threads") {
  const auto A = random_matrix<float>(300, 701, 6), B = random_matrix<float>(300, 701, 7);
  const auto H = symmetric<float>(701, 8);
  const Context<Cpu> one(1), four(4);
  CHECK(inner_product(one, std::as_const(A).view(), B) == inner_product(four, std::as_const(A).view(), B));
  CHECK(quadratic_form(one, std::as_const(A).view(), H) == quadratic_form(four, std::as_const(A).view(), H));
  CHECK(squared_distance(one, std::as_const(A).view(), B) == squared_distance(four, std::as_const(A).view(), B));
}
