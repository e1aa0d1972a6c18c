// Products and the factorisation, against the CPU's.
#include <bit>  // bit_cast
#include <limits>

#include "halftone/quant/statistics.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

/// XᵀX / tokens + 0.01, both triangles.
template <class S>
Matrix<S> second_moments(Index n, std::uint64_t seed) {
  const auto X = random_matrix<S>(2 * n + 8, n, seed);
  Matrix<S> H(n, n);
  gemm<S>(cpu, Transpose::Yes, Transpose::No, S(1) / static_cast<S>(2 * n + 8), X, X, S(0), H);
  for (Index i = 0; i < n; ++i) H(i, i) += S(0.01);
  mirror_upper(cpu, H.view());
  return H;
}

}  // namespace

TEMPLATE_TEST_CASE("products are those of the CPU", "", float, double) {
  using S = TestType;
  HALFTONE_DEVICE_CASE(context);
  const double unit = std::numeric_limits<S>::epsilon();
  struct {
    Index m, n, k;
  } const sizes[] = {{1, 1, 1}, {3, 70, 9}, {65, 33, 130}, {40, 41, 0}};
  for (const auto& size : sizes)
    for (const Transpose a : {Transpose::No, Transpose::Yes})
      for (const Transpose b : {Transpose::No, Transpose::Yes})
        for (const S beta : {S(0), S(1), S(-0.5)}) {
          const auto A =
              a == Transpose::Yes ? random_matrix<S>(size.k, size.m + 3, 1) : random_matrix<S>(size.m + 3, size.k, 1);
          const auto B =
              b == Transpose::Yes ? random_matrix<S>(size.n, size.k, 2) : random_matrix<S>(size.k, size.n, 2);
          Matrix<S> C = random_matrix<S>(size.m, size.n, 3);
          if (beta == S(0)) C.fill(std::numeric_limits<S>::quiet_NaN());
          const auto there_A = on_device(context, A), there_B = on_device(context, B);
          auto there = on_device(context, C);
          const auto block = [&](auto view) {  // one that does not start at the corner
            return a == Transpose::Yes ? view.middle_cols(2, size.m) : view.middle_rows(2, size.m);
          };
          gemm(context, a, b, S(1.5), block(there_A.view()), there_B.view(), beta, there.view());
          gemm<S>(cpu, a, b, S(1.5), block(A.view()), B, beta, C);
          CHECK(relative_difference(on_host(context, there), C) <= 4 * unit * static_cast<double>(size.k + 4));
        }
}

TEST_CASE("upper triangles are summed in tiles, with a rest that no tile divides") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index n : {1, 5, 130, 1024, 1031}) {
    const Index tokens = n > 1000 ? 5 : 37;
    const auto X = random_matrix<float>(tokens, n, 4), C = random_matrix<float>(n, n, 5);
    Matrix<float> here = C;
    auto there = on_device(context, C);
    const auto inputs = on_device(context, X);
    gemm_upper<float>(context, Transpose::Yes, Transpose::No, 1, inputs, inputs, 1, there);
    gemm_upper<float>(cpu, Transpose::Yes, Transpose::No, 1, X, X, 1, here);
    mirror_upper(context, there.view());
    mirror_upper(cpu, here.view());
    CHECK(relative_difference(on_host(context, there), here) <= 2e-5);
  }
}

TEMPLATE_TEST_CASE("squares of 16-bit inputs are exact products summed in float", "", Float16, BFloat16) {
  using T = TestType;
  HALFTONE_DEVICE_CASE(context);
  const Index n = 67, tokens = 129;
  const auto plain = random_matrix<float>(tokens, n, 6);
  Matrix<T> X(tokens, n);
  Matrix<float> wide(tokens, n), here(n, n, 0.0f);
  for (Index i = 0; i < X.size(); ++i) {
    X.data()[i] = T(plain.data()[i]);
    wide.data()[i] = static_cast<float>(X.data()[i]);
  }
  auto there = on_device(context, here);
  const auto inputs = on_device(context, X);
  add_squares(context, inputs.view(), there.view());
  mirror_upper(context, there.view());
  gemm_upper<float>(cpu, Transpose::Yes, Transpose::No, 1, wide, wide, 1, here);
  mirror_upper(cpu, here.view());
  CHECK(relative_difference(on_host(context, there), here) <= 1e-5);
  auto widened = context.template allocate<float>(tokens, n);
  convert(context, inputs.view(), widened.view());
  CHECK(on_host(context, widened) == wide);

  auto product = context.allocate<float>(tokens, tokens);
  Matrix<float> product_here(tokens, tokens);
  for (const bool add : {false, true}) {  // what NaN was there is not read at first
    gemm<T>(context, Transpose::No, Transpose::Yes, inputs, inputs, add, product);
    gemm<float>(cpu, Transpose::No, Transpose::Yes, 1, wide, wide, add ? 1.0f : 0.0f, product_here);
    CHECK(relative_difference(on_host(context, product), product_here) <= 1e-5);
  }
}

TEST_CASE("numbers are rounded to bfloat16 bit for bit as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  const auto from_bits = [](std::uint32_t bits) { return std::bit_cast<float>(bits); };
  std::vector<float> edges = {0.0f,
                              -0.0f,
                              std::numeric_limits<float>::max(),
                              -std::numeric_limits<float>::infinity(),
                              from_bits(0x7fc00000u),
                              from_bits(0xff800001u),  // NaN of both signs, one signalling
                              from_bits(0x7f7f7fffu),
                              from_bits(0x7f7f8000u)};  // the last that is finite, and infinite
  for (const std::uint32_t upper : {0x0000u, 0x0001u, 0x007fu, 0x3f80u, 0x3f81u, 0xc2feu, 0xc2ffu})  // some subnormal
    for (const std::uint32_t lower : {0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      edges.push_back(from_bits(upper << 16 | lower));
  for (const Index cols : {1, 3, 43, 257, 1031}) {
    auto x = random_matrix<float>(37, cols, 8);
    for (std::size_t i = 0; i < edges.size() && static_cast<Index>(i) < x.size(); ++i) x.data()[i] = edges[i];
    const auto inputs = on_device(context, x);
    auto there = rounded_to_bfloat(context, inputs);
    const Matrix<BFloat16> here = rounded_to_bfloat(cpu, x);
    CHECK(on_host(context, there) == here);
    negate(context, there.view());
    Matrix<BFloat16> negated = here;
    negate(cpu, negated.view());
    CHECK(on_host(context, there) == negated);
    CHECK(negated != here);
    // a part of a matrix into a part of another, in memory that is kept
    CudaMatrix<BFloat16> kept;
    CHECK(context.download(rounded_to_bfloat(context, inputs.view().middle_rows(5, 30), kept)) ==
          Matrix<BFloat16>(here.view().middle_rows(5, 30)));
    CHECK(context.download(rounded_to_bfloat(context, inputs.view().middle_rows(2, 3), kept)) ==
          Matrix<BFloat16>(here.view().middle_rows(2, 3)));
    CHECK(kept.rows() == 30);
  }
  const auto x = context.allocate<float>(2, 3);
  auto y = context.allocate<BFloat16>(3, 2);
  CHECK(error_of([&] { narrow(context, x.view(), y.view()); }) ==
        "shape_mismatch: narrow: got 2 x 3 and 3 x 2, wanted equal shapes");
}

TEST_CASE("statistics of rounded inputs are the CPU's") {
  HALFTONE_DEVICE_CASE(context);
  const auto X = random_matrix<float>(150, 67, 10), X_fp = random_matrix<float>(150, 67, 11);
  const auto there_X = on_device(context, X), there_fp = on_device(context, X_fp);
  InputStatistics<float> here(cpu, 67, Moments::HeldOut, ProductType::BFloat16);
  InputStatistics<float, Cuda> there(context, 67, Moments::HeldOut, ProductType::BFloat16);
  for (const Index first : {0, 90}) {
    const Index count = first == 0 ? 90 : 60;
    const auto part = [&](const auto& matrix) { return matrix.view().middle_rows(first, count); };
    const auto add = [&](auto& sums, const auto& left, const auto& right) {
      first == 0 ? sums.add(part(left), part(right)) : sums.add_held_out(part(left), part(right));
    };
    add(here, X, X_fp);
    add(there, there_X, there_fp);
  }
  const auto compare = [&](const auto& on_cpu, const auto& on_gpu) {
    CHECK(relative_difference(on_host(context, on_gpu.second_moments()), on_cpu.second_moments()) <= 1e-5);
    CHECK(relative_difference(on_host(context, on_gpu.cross_moments()), on_cpu.cross_moments()) <= 1e-5);
  };
  compare(here, there);
  compare(*here.held_out(), *there.held_out());
  InputStatistics<float> plain(cpu, 67, Moments::Second);  // what was rounded shows
  plain.add(X);
  CHECK(relative_difference(on_host(context, there.second_moments()), plain.second_moments()) > 1e-4);
}

TEMPLATE_TEST_CASE("the inverse factor is the CPU's, turned around and back", "", float, double) {
  using S = TestType;
  HALFTONE_DEVICE_CASE(context);
  for (const Index n : {1, 2, 7, 64, 131}) {
    Matrix<S> here = second_moments<S>(n, 7);
    auto there = on_device(context, here);
    CHECK(inverse_factor(cpu, here.view()) == -1);
    CHECK(inverse_factor(context, there.view()) == -1);
    CHECK(relative_difference(on_host(context, there), here) <= 2000 * std::numeric_limits<S>::epsilon());
  }
}

TEMPLATE_TEST_CASE("so is the factor in panels", "", float, double) {
  using S = TestType;
  HALFTONE_DEVICE_CASE(context);
  for (const Index panel : {1, 5, 64, 100, 131, 200}) {
    Matrix<S> here = second_moments<S>(131, 7);
    auto there = on_device(context, here);
    CHECK(inverse_factor(cpu, here.view(), panel) == -1);
    CHECK(inverse_factor(context, there.view(), panel) == -1);
    CHECK(relative_difference(on_host(context, there), here) <= 2000 * std::numeric_limits<S>::epsilon());
  }
  Matrix<S> A(9, 9, S(0));
  for (Index i = 0; i < 9; ++i) A(i, i) = i == 3 ? S(-1) : S(2);
  auto there = on_device(context, A);
  CHECK(inverse_factor(context, there.view(), Index{2}) == 3);
  CHECK(error_of([&] { inverse_factor(context, there.view(), Index{0}); }).find("invalid_argument") == 0);
}

TEST_CASE("a pivot that fails is reported") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index bad : {0, 3, 8}) {
    Matrix<float> A(9, 9, 0.0f);
    for (Index i = 0; i < 9; ++i) A(i, i) = i == bad ? -1.0f : 2.0f;
    auto there = on_device(context, A);
    CHECK(inverse_factor(context, there.view()) == bad);
    A(bad, bad) = std::numeric_limits<float>::quiet_NaN();
    there = on_device(context, A);
    CHECK(inverse_factor(context, there.view()) >= 0);
  }
}

TEST_CASE("products of the wrong shapes are refused with both") {
  HALFTONE_DEVICE_CASE(context);
  const auto A = context.allocate<float>(3, 4), B = context.allocate<float>(5, 2);
  auto C = context.allocate<float>(3, 2);
  CHECK(error_of([&] { gemm<float>(context, Transpose::No, Transpose::No, 1, A, B, 0, C); }) ==
        "shape_mismatch: gemm: op(A) is 3 x 4 and op(B) 5 x 2; C is 3 x 2, wanted 3 x 2 and equal inner sizes");
  CHECK(error_of([&] { inverse_factor(context, C.view()); }).find("shape_mismatch") == 0);
}
