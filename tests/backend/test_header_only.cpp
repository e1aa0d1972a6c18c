// The templates without the library: this program links halftone::headers alone and runs the kernels built with its
// flags.
#include <catch2/catch.hpp>

#include <cmath>

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/quantize.hpp"
#include "halftone/backend/refine.hpp"
#include "halftone/core/random.hpp"

#if defined(HALFTONE_COMPILED)
#error "this test must not see the compiled library"
#endif

using namespace halftone;

TEMPLATE_TEST_CASE("header-only: factor, fit, diffuse", "", float, double) {
  using S = TestType;
  const Context<Cpu> context(2);
  CHECK(std::string(context.isa()) == "user");
  const Index n = 140, tokens = 300, rows = 37;
  Random random(1);
  Matrix<S> X(tokens, n), H(n, n), W(rows, n), E(rows, n), product(n, n), identity(n, n);
  for (Index i = 0; i < X.size(); ++i) X.data()[i] = static_cast<S>(random.normal());
  for (Index i = 0; i < W.size(); ++i) W.data()[i] = static_cast<S>(random.normal());
  gemm_upper<S>(context, Transpose::Yes, Transpose::No, S(1) / S(tokens), X, X, S(0), H);
  mirror_upper<S>(context, H);
  Matrix<S> U = H;
  REQUIRE(inverse_factor<S>(context, U) == -1);
  gemm<S>(context, Transpose::No, Transpose::No, S(1), U, H, S(0), product);  // U H Uᵀ = I
  gemm<S>(context, Transpose::No, Transpose::Yes, S(1), product, U, S(0), identity);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) REQUIRE(std::abs(identity(i, j) - S(i == j)) < S(sizeof(S) == 4 ? 1e-3 : 1e-11));

  Matrix<S> scales(1, rows), zeros(1, rows);
  Matrix<std::uint8_t> codes(rows, n);
  fit_uniform_grid<S>(context, W, nullptr, GridOptions{}, scales.data(), zeros.data());
  const std::vector<std::int32_t> groups(static_cast<std::size_t>(n), 0);
  const UniformCells<S> cells{scales, zeros, groups.data(), S(15)};
  diffuse_block<S>(context, cells, U, W, E, codes);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < n; ++j) REQUIRE(W(i, j) == decode(static_cast<S>(codes(i, j)), scales(0, i), zeros(0, i)));

  Matrix<S> gradient(rows, n, S(1));
  std::vector<std::int32_t> columns(static_cast<std::size_t>(n));
  for (Index j = 0; j < n; ++j) columns[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j);
  CHECK(descend_columns<S>(context, cells, {columns.data(), n, H, gradient, W, codes, E}) > 0);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < n; ++j) REQUIRE(W(i, j) == decode(static_cast<S>(codes(i, j)), scales(0, i), zeros(0, i)));
}
