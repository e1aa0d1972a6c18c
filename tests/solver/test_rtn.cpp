#include "halftone/solver/rtn.hpp"

#include <catch2/catch.hpp>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("every weight goes to the nearest value of its group's grid") {
  const Layer<double> layer(7, 23, 5, 1);
  for (bool symmetric : {false, true})
    for (std::int64_t group_size : {-1, 1, 5}) {
      GridOptions grid = gptq_options(3, group_size).grid;
      grid.symmetric = symmetric;
      const QuantizedMatrix result = layer.rtn(grid);
      const Index width = grid.group_columns(23);
      for (Index r = 0; r < 7; ++r)
        for (Index j = 0; j < 23; ++j) {
          const Index first = j / width * width, last = std::min<Index>(23, first + width);
          const auto [scale, zero] = naive_grid({layer.W.row(r) + first, layer.W.row(r) + last}, grid);
          const double code = std::clamp(std::nearbyint(layer.W(r, j) / scale) + zero, 0.0, 7.0);
          CHECK(result.codes(r, j) == static_cast<int>(code));
        }
    }
}

TEST_CASE("without statistics the error is that of the weights, with them that of the outputs") {
  const Layer<float> layer(6, 30, 60, 2);
  const RtnSolver<float, Cpu> solver(layer.context, RtnOptions{gptq_options(3, 10).grid});
  CHECK(solver.moments() == Moments::None);
  const InputStatistics<float> none(layer.context, 30, Moments::None);
  const QuantizedMatrix plain = solver.quantize(layer.W, solver.prepare(none)), measured = layer.rtn(solver.grid());
  CHECK(same_codes(plain, measured));
  Matrix<float> identity(30, 30, 0.0f);
  for (Index i = 0; i < 30; ++i) identity(i, i) = 1;
  const Matrix<float> Q = dequantize(plain);
  CHECK(plain.report.relative_error == Approx(naive_relative_error(Q, layer.W, identity)).epsilon(1e-5));
  CHECK(measured.report.relative_error == Approx(naive_relative_error(Q, layer.W, layer.H())).epsilon(1e-5));
  CHECK(plain.report.tokens == 0);
  CHECK(measured.report.tokens == 60);
}

TEST_CASE("the diag(H)-weighted search asks for statistics and lowers the weighted error") {
  const Layer<float> layer(6, 40, 80, 3);
  GridOptions grid = gptq_options(2).grid;
  const auto weighted = [&](const QuantizedMatrix& result) {
    const Matrix<float> Q = dequantize(result);
    double sum = 0;
    for (Index r = 0; r < 6; ++r)
      for (Index j = 0; j < 40; ++j) sum += layer.H()(j, j) * (Q(r, j) - layer.W(r, j)) * (Q(r, j) - layer.W(r, j));
    return sum;
  };
  const double plain = weighted(layer.rtn(grid));
  grid.search = GridSearch::Hessian;
  CHECK(weighted(layer.rtn(grid)) < 0.9 * plain);
  const RtnSolver<float, Cpu> solver(layer.context, RtnOptions{grid});
  CHECK(solver.moments() == Moments::Second);
  CHECK(error_of([&] { solver.prepare(InputStatistics<float>(layer.context, 40, Moments::None)); }) ==
        "invalid_argument: rtn: the statistics hold no second moments of the inputs, wanted H");
}

TEST_CASE("a matrix of zeros has no error") {
  const Layer<float> layer(Matrix<float>(3, 8, 0.0f), random_inputs<float>(20, 8, 4));
  const QuantizedMatrix result = layer.rtn(gptq_options(4).grid);
  CHECK(result.report.relative_error == 0);
  CHECK(dequantize(result) == layer.W);
}
