// gemm, gemm_upper and mirror_upper against double loops, for every instruction set that this machine has.
#include <limits>

#include "halftone/backend/linear_algebra.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Shape {
  Index m, n, k;
};

/// Products of k normal numbers: rounding grows at worst with k, and the sums with sqrt(k).
template <class S>
double tolerance(Index k) {
  return 4.0 * static_cast<double>(std::numeric_limits<S>::epsilon()) * (1.0 + static_cast<double>(k)) * 3.0;
}

template <class S>
void check_gemm(const Context<Cpu>& context, Shape shape, Transpose a, Transpose b, S alpha, S beta) {
  const auto [m, n, k] = shape;
  constexpr Index pad = 3;  // every matrix is a window of a wider one
  const bool ta = a == Transpose::Yes, tb = b == Transpose::Yes;
  const auto wide_a = random_matrix<S>(ta ? k : m, (ta ? m : k) + pad, 1);
  const auto wide_b = random_matrix<S>(tb ? n : k, (tb ? k : n) + pad, 2);
  auto wide_c = random_matrix<S>(m, n + pad, 3);
  if (beta == S(0)) wide_c.fill(std::numeric_limits<S>::quiet_NaN());
  const auto A = wide_a.view().middle_cols(1, ta ? m : k), B = wide_b.view().middle_cols(1, tb ? k : n);
  const auto before = wide_c;
  const auto expected = naive_gemm<S>(a, b, alpha, A, B, beta, before.view().middle_cols(1, n));

  gemm(context, a, b, alpha, A, B, beta, wide_c.view().middle_cols(1, n));
  const Matrix<S> result(MatrixView<const S>(wide_c.view().middle_cols(1, n)));
  CHECK(largest_difference(result, expected) < tolerance<S>(k));
  for (Index i = 0; i < m; ++i)  // nothing outside the window is touched
    for (Index j : {Index{0}, n + 1, n + 2})
      if (beta != S(0)) REQUIRE(wide_c(i, j) == before(i, j));

  if (m != n) return;
  auto triangle = before;
  gemm_upper(context, a, b, alpha, A, B, beta, triangle.view().middle_cols(1, n));
  const Matrix<S> upper_part(MatrixView<const S>(triangle.view().middle_cols(1, n)));
  CHECK(largest_difference(upper_part, expected, upper) < tolerance<S>(k));
}

}  // namespace

TEMPLATE_TEST_CASE("gemm and gemm_upper equal the double loop", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa, kernels->products);
    const Context<Cpu> context(2, *kernels);
    for (const Shape shape : {Shape{1, 1, 1}, Shape{1, 7, 3}, Shape{5, 1, 130}, Shape{3, 3, 0}, Shape{17, 17, 33},
                              Shape{130, 130, 5}, Shape{64, 257, 31}, Shape{257, 257, 40}})
      for (Transpose a : {Transpose::No, Transpose::Yes})
        for (Transpose b : {Transpose::No, Transpose::Yes}) {
          CAPTURE(shape.m, shape.n, shape.k, static_cast<int>(a), static_cast<int>(b));
          check_gemm<S>(context, shape, a, b, S(1), S(0));
          check_gemm<S>(context, shape, a, b, S(-0.5), S(1));
          check_gemm<S>(context, shape, a, b, S(2), S(0.25));
        }
  }
}

TEMPLATE_TEST_CASE("products are the same bytes for any number of threads", "", float, double) {
  using S = TestType;
  const auto X = random_matrix<S>(70, 515, 4);
  Matrix<S> one(515, 515, S(1)), three(515, 515, S(1)), upper_one(515, 515, S(1)), upper_three(515, 515, S(1));
  gemm<S>(Context<Cpu>(1), Transpose::Yes, Transpose::No, S(1), X, X, S(1), one);
  gemm<S>(Context<Cpu>(3), Transpose::Yes, Transpose::No, S(1), X, X, S(1), three);
  CHECK(one == three);
  gemm_upper<S>(Context<Cpu>(1), Transpose::Yes, Transpose::No, S(1), X, X, S(1), upper_one);
  gemm_upper<S>(Context<Cpu>(3), Transpose::Yes, Transpose::No, S(1), X, X, S(1), upper_three);
  mirror_upper<S>(Context<Cpu>(1), upper_one);
  mirror_upper<S>(Context<Cpu>(3), upper_three);
  CHECK(upper_one == upper_three);
  // Tiles differ from gemm's, so rounding may; the sums are of 70 products of order 1.
  CHECK(largest_difference(one, upper_one) < 1e-4);
}

TEST_CASE("products refuse shapes that do not fit") {
  const Context<Cpu> context(1);
  const Matrix<float> A(2, 3, 1.0f), B(4, 5, 1.0f);
  Matrix<float> C(2, 5);
  CHECK_THROWS_WITH(gemm<float>(context, Transpose::No, Transpose::No, 1, A, B, 0, C),
                    Catch::Contains("op(A) is 2 x 3") && Catch::Contains("4 x 5"));
  Matrix<float> tall(3, 5);
  CHECK_THROWS_AS(gemm_upper<float>(context, Transpose::Yes, Transpose::No, 1, A, Matrix<float>(2, 5, 1.0f), 0, tall),
                  Error);
  CHECK_THROWS_AS(mirror_upper<float>(context, tall), Error);
}

TEST_CASE("mirror_upper copies the upper triangle") {
  for (Index n : {0, 1, 2, 63, 64, 65, 300}) {
    auto A = random_matrix<double>(n, n, 5);
    const auto before = A;
    mirror_upper<double>(Context<Cpu>(2), A);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) REQUIRE(A(i, j) == before(std::min(i, j), std::max(i, j)));
  }
}

TEST_CASE("HALFTONE_ISA chooses the kernels or is refused") {
  const auto tables = detail::runnable_kernels();
  CHECK(std::string(detail::chosen_kernels("").isa) == tables.front()->isa);
  CHECK(detail::chosen_kernels("baseline").isa == tables.back()->isa);
  if (tables.size() > 1) CHECK(std::string(detail::chosen_kernels("baseline").products) == "eigen");
  CHECK_THROWS_WITH(detail::chosen_kernels("sse9"),
                    Catch::Contains("HALFTONE_ISA is 'sse9'") && Catch::Contains("baseline"));
  for (const char* name : {"avx2", "avx512", "neon"}) {
    bool runs = false;
    for (const auto* table : tables) runs = runs || std::string(table->isa) == name;
    if (!runs) CHECK_THROWS_AS(detail::chosen_kernels(name), Error);
  }
  CHECK(std::string(Context<Cpu>(1).isa()) == detail::cpu_kernels().isa);
}
