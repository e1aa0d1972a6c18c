// Products of 16-bit matrices against double loops: products of two numbers are exact, so only the float sums round.
#include <limits>

#include "halftone/backend/linear_algebra.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

template <class T>
Matrix<T> random_halves(Index rows, Index cols, std::uint64_t seed) {
  const auto values = random_matrix<float>(rows, cols, seed);
  Matrix<T> halves(rows, cols);
  for (Index i = 0; i < rows * cols; ++i) halves.data()[i] = T(values.data()[i]);
  return halves;
}

template <class T>
Matrix<float> widened(MatrixView<const T> halves) {
  Matrix<float> values(halves.rows, halves.cols);
  for (Index i = 0; i < halves.rows; ++i)
    for (Index j = 0; j < halves.cols; ++j) values(i, j) = static_cast<float>(halves(i, j));
  return values;
}

/// op(A) · op(B), and C on top if `add`, in double.
template <class T>
Matrix<double> naive_product(Transpose a, Transpose b, MatrixView<const T> A, MatrixView<const T> B, bool add,
                             MatrixView<const float> C) {
  return naive_gemm<float>(a, b, 1, widened(A), widened(B), add ? 1.0f : 0.0f, C);
}

struct Shape {
  Index m, n, k;
};
constexpr Shape shapes[] = {{1, 1, 1},    {1, 7, 3},     {5, 1, 130},   {3, 3, 0},
                            {17, 17, 33}, {130, 130, 5}, {64, 257, 31}, {150, 70, 600}};

template <class T>
void check_product(const Context<Cpu>& context, Shape shape, Transpose a, Transpose b, bool add) {
  const auto [m, n, k] = shape;
  constexpr Index pad = 3;  // every matrix is a window of a wider one
  const bool ta = a == Transpose::Yes, tb = b == Transpose::Yes;
  const auto wide_a = random_halves<T>(ta ? k : m, (ta ? m : k) + pad, 1);
  const auto wide_b = random_halves<T>(tb ? n : k, (tb ? k : n) + pad, 2);
  auto wide_c = random_matrix<float>(m, n + pad, 3);
  if (!add) wide_c.fill(std::numeric_limits<float>::quiet_NaN());
  const auto A = wide_a.view().middle_cols(1, ta ? m : k), B = wide_b.view().middle_cols(1, tb ? k : n);
  const auto before = wide_c;
  const auto expected = naive_product<T>(a, b, A, B, add, before.view().middle_cols(1, n));

  gemm<T>(context, a, b, A, B, add, wide_c.view().middle_cols(1, n));
  const Matrix<float> result(MatrixView<const float>(wide_c.view().middle_cols(1, n)));
  CHECK(largest_difference(result, expected) < 12 * 1.2e-7 * (1.0 + static_cast<double>(k)));
  for (Index i = 0; add && i < m; ++i)  // nothing outside the window is touched
    for (Index j : {Index{0}, n + 1, n + 2}) REQUIRE(wide_c(i, j) == before(i, j));
}

}  // namespace

TEMPLATE_TEST_CASE("products of 16-bit matrices equal the double loop", "", BFloat16, Float16) {
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa, kernels->half.units);
    const Context<Cpu> context(2, *kernels);
    for (const Shape shape : shapes)
      for (Transpose a : {Transpose::No, Transpose::Yes})
        for (Transpose b : {Transpose::No, Transpose::Yes}) {
          CAPTURE(shape.m, shape.n, shape.k, static_cast<int>(a), static_cast<int>(b));
          check_product<TestType>(context, shape, a, b, false);
          check_product<TestType>(context, shape, a, b, true);
        }
  }
}

TEMPLATE_TEST_CASE("add_squares is the upper triangle of the product with itself", "", BFloat16, Float16) {
  for (const auto* kernels : every_kernels()) {
    const Context<Cpu> context(2, *kernels);
    const auto X = random_halves<TestType>(90, 301, 7);
    auto H = random_matrix<float>(301, 301, 8);
    const auto expected = naive_product<TestType>(Transpose::Yes, Transpose::No, X, X, true, H);
    add_squares<TestType>(context, X, H);
    CHECK(largest_difference(H, expected, upper) < 1e-4);
  }
}

TEST_CASE("products of 16-bit matrices are the same bytes for any number of threads") {
  const auto X = random_halves<BFloat16>(700, 515, 4);
  Matrix<float> one(515, 515, 1.0f), three(515, 515, 1.0f), upper_one(515, 515, 0.0f), upper_three(515, 515, 0.0f);
  gemm<BFloat16>(Context<Cpu>(1), Transpose::Yes, Transpose::No, X, X, true, one);
  gemm<BFloat16>(Context<Cpu>(3), Transpose::Yes, Transpose::No, X, X, true, three);
  CHECK(one == three);
  add_squares<BFloat16>(Context<Cpu>(1), X, upper_one);
  add_squares<BFloat16>(Context<Cpu>(3), X, upper_three);
  mirror_upper<float>(Context<Cpu>(1), upper_one);
  mirror_upper<float>(Context<Cpu>(1), upper_three);
  CHECK(upper_one == upper_three);
}

TEST_CASE("products of 16-bit matrices refuse shapes that do not fit") {
  const Context<Cpu> context(1);
  const auto A = random_halves<BFloat16>(2, 3, 1), B = random_halves<BFloat16>(4, 5, 1);
  Matrix<float> C(2, 5);
  CHECK_THROWS_WITH(gemm<BFloat16>(context, Transpose::No, Transpose::No, A, B, false, C),
                    Catch::Contains("op(A) is 2 x 3"));
  CHECK_THROWS_AS(add_squares<BFloat16>(context, A, C), Error);
  Matrix<BFloat16> narrowed(2, 4);
  CHECK_THROWS_WITH(narrow<BFloat16>(context, C, narrowed), Catch::Contains("wanted equal shapes"));
}

TEST_CASE("narrow rounds as BFloat16 does, odd numbers too") {
  for (const auto* kernels : every_kernels()) {
    auto x = random_matrix<float>(37, 2100, 9);
    x(0, 0) = std::numeric_limits<float>::infinity();
    x(0, 1) = -std::numeric_limits<float>::max();
    x(0, 2) = std::numeric_limits<float>::denorm_min();
    x(0, 3) = 1.00390625f;  // half way between two
    x(0, 4) = -0.0f;
    x(36, 2099) = std::numeric_limits<float>::quiet_NaN();
    const Matrix<BFloat16> y = rounded_to_bfloat(Context<Cpu>(2, *kernels), x);
    for (Index i = 0; i < x.size(); ++i) REQUIRE(y.data()[i] == BFloat16(x.data()[i]));
  }
}
