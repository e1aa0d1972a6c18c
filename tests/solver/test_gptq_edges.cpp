// Shapes and numbers at the edge, and what the report says of them.
#include <catch2/catch.hpp>
#include <limits>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("one weight, one row, one column") {
  const Layer<float> point(Matrix<float>(1, 1, 0.75f), Matrix<float>(3, 1, 2.0f));
  const QuantizedMatrix result = point.gptq(gptq_options(2));
  CHECK(result.codes(0, 0) == 3);
  CHECK(dequantize(result)(0, 0) == 0.75f);
  const Layer<double> row(1, 19, 40, 1), column(5, 1, 40, 2);
  for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference})
    for (bool order : {false, true}) {
      const GptqOptions options = gptq_options(3, 7, order, mode, 4);
      CHECK(row.gptq(options).codes == naive_gptq(row.W, row.H(), options).codes);
      CHECK(column.gptq(options).codes == column.rtn(options.grid).codes);
    }
}

TEST_CASE("rows of zeros stay zero; constant rows come back") {
  const Layer<double> base(4, 26, 60, 3);
  Matrix<double> W = base.W;
  for (Index j = 0; j < 26; ++j) {
    W(1, j) = 0;
    W(2, j) = 0.25;
    W(3, j) = -1.5;
  }
  const Layer<double> layer(W, base.X);
  for (bool symmetric : {false, true}) {
    GptqOptions options = gptq_options(4, 8);
    options.grid.symmetric = symmetric;
    const QuantizedMatrix result = layer.gptq(options);
    CHECK(result.codes == naive_gptq(W, layer.H(), options).codes);
    const Matrix<float> values = dequantize(result);
    for (Index j = 0; j < 26; ++j) {
      CHECK(values(1, j) == 0);
      if (!symmetric) CHECK(values(2, j) == Approx(0.25).epsilon(1e-3));  // scales are halves
      if (!symmetric) CHECK(values(3, j) == Approx(-1.5).epsilon(1e-3));
    }
  }
}

TEST_CASE("weights that are not finite are refused with their place") {
  const Layer<float> layer(3, 8, 20, 4);
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Matrix<float> W = layer.W;
    W(2, 6) = bad;
    CHECK(error_of([&] { layer.gptq(gptq_options(3), W, layer.statistics); }) ==
          "invalid_data: gptq: a weight is not finite at row 2, column 6");
  }
  CHECK(error_of([&] { layer.gptq(gptq_options(3), Matrix<float>(3, 7, 0.0f), layer.statistics); }) ==
        "shape_mismatch: gptq: W is 3 x 7, wanted 1 or more rows of 8 columns as the inputs have");
  CHECK(error_of([&] { layer.gptq(gptq_options(3), Matrix<float>(0, 8), layer.statistics); }) ==
        "shape_mismatch: gptq: W is 0 x 8, wanted 1 or more rows of 8 columns as the inputs have");
}

TEST_CASE("statistics that cannot serve are refused") {
  const Layer<float> layer(2, 8, 20, 5);
  const GptqSolver<float, Cpu> solver(layer.context, gptq_options(3));
  CHECK(error_of([&] { solver.prepare(InputStatistics<float>(layer.context, 8, Moments::None)); }) ==
        "invalid_argument: gptq: the statistics hold no second moments of the inputs, wanted H");
  CHECK(error_of([&] { solver.prepare(InputStatistics<float>(layer.context, 8, Moments::Second)); }) ==
        "invalid_argument: gptq: the statistics hold 0 tokens, wanted 1 or more");
  InputStatistics<float> loud(layer.context, 8, Moments::Second);
  Matrix<float> X = layer.X;
  X(3, 4) = 1e25f;
  loud.add(X);
  CHECK(error_of([&] { solver.prepare(loud); }) ==
        "invalid_data: gptq: the squared inputs of column 4 overflow: their sum is inf");
}

TEST_CASE("options out of bounds are refused by name") {
  const Context<Cpu> context(1);
  const auto message = [&](GptqOptions options) { return error_of([&] { GptqSolver<float, Cpu>(context, options); }); };
  GptqOptions options;
  options.damping = -1;
  CHECK(message(options) == "invalid_argument: gptq: option 'damping' is -1, wanted 0 .. 1");
  options = {};
  options.damping = std::numeric_limits<double>::quiet_NaN();
  CHECK(message(options) == "invalid_argument: gptq: option 'damping' is nan, wanted 0 .. 1");
  options = {};
  options.block_size = 0;
  CHECK(message(options) == "invalid_argument: gptq: option 'block_size' is 0, wanted 1 .. 65536");
  CHECK(message(gptq_options(1)) == "invalid_argument: gptq: option 'bits' is 1, wanted 2 .. 8");
  CHECK(message(gptq_options(4, 0)) ==
        "invalid_argument: gptq: option 'group_size' is 0, wanted -1 or 1 .. 1073741824");
  CHECK(message(gptq_options(4, 64)).empty());
}

TEST_CASE("fewer tokens than inputs: solved, and said") {
  const Layer<float> layer(6, 40, 10, 6);
  const QuantizedMatrix result = layer.gptq(gptq_options(4));
  CHECK(result.report.tokens == 10);
  CHECK(result.report.damping == 0.01);
  CHECK(result.report.damping_steps == 0);
  CHECK(noted(result.report, "10 tokens for 40 inputs"));
  CHECK(result.report.relative_error < layer.rtn(gptq_options(4).grid).report.relative_error);
  const Layer<float> enough(6, 40, 90, 6);
  CHECK(enough.gptq(gptq_options(4)).report.notes.empty());
}

TEST_CASE("no damping on a singular H: the ladder is climbed and reported") {
  const Layer<float> layer(6, 40, 10, 7);
  GptqOptions options = gptq_options(4);
  options.damping = 0;
  const QuantizedMatrix result = layer.gptq(options);
  CHECK(result.report.damping_steps == 1);
  CHECK(result.report.damping == 0.001);
  CHECK(noted(result.report, "damping raised from 0 to 0.001"));
  options.damping = 0.001;
  CHECK(same_codes(layer.gptq(options), result));
}

TEST_CASE("inputs that are zero throughout make a matrix of zeros, and the report says so") {
  const Layer<float> layer(random_matrix<float>(3, 12, 8), Matrix<float>(9, 12, 0.0f));
  const QuantizedMatrix result = layer.gptq(gptq_options(3, 4));
  CHECK(dequantize(result) == Matrix<float>(3, 12, 0.0f));
  CHECK(result.report.dead_columns == 12);
  CHECK(result.report.relative_error == 0);
  CHECK(noted(result.report, "every input is zero"));
}

TEST_CASE("a column below rounding error beside the others counts as dead") {
  Matrix<float> X = random_inputs<float>(50, 10, 9);
  for (Index t = 0; t < 50; ++t) X(t, 6) *= 1e-9f;
  const Layer<float> layer(random_matrix<float>(3, 10, 9), X);
  const QuantizedMatrix result = layer.gptq(gptq_options(4));
  CHECK(result.report.dead_columns == 1);
  CHECK(dequantize(result)(1, 6) == 0);
}

TEST_CASE("damping that one loud input makes huge for the others is noted") {
  Matrix<float> X = random_inputs<float>(100, 30, 10);
  for (Index t = 0; t < 100; ++t) X(t, 11) *= 3000;
  const Layer<float> layer(random_matrix<float>(3, 30, 10), X);
  CHECK(noted(layer.gptq(gptq_options(4)).report, "times the median of diag(H)"));
}
