// What must hold whatever the numbers are.
#include <catch2/catch.hpp>
#include <limits>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

template <class S>
InputStatistics<S> scaled_statistics(const Layer<S>& layer, S factor) {
  Matrix<S> H = layer.H();
  for (Index i = 0; i < H.rows(); ++i)
    for (Index j = 0; j < H.cols(); ++j) H(i, j) *= factor;
  return InputStatistics<S>::from_sums(layer.context, layer.statistics.tokens(), std::move(H));
}

template <class T>
Matrix<T> columns_in(const Matrix<T>& A, const std::vector<std::int32_t>& order) {
  Matrix<T> out(A.rows(), A.cols());
  for (Index i = 0; i < A.rows(); ++i)
    for (Index j = 0; j < A.cols(); ++j) out(i, j) = A(i, order[static_cast<std::size_t>(j)]);
  return out;
}

std::vector<double> diagonal_of(const Matrix<double>& H) {
  std::vector<double> values;
  for (Index i = 0; i < H.rows(); ++i) values.push_back(H(i, i));
  return values;
}

}  // namespace

TEMPLATE_TEST_CASE("with H = I nothing is diffused: GPTQ is RTN", "", float, double) {
  const Layer<TestType> layer(9, 43, 5, 1);
  Matrix<TestType> identity(43, 43, TestType(0));
  for (Index i = 0; i < 43; ++i) identity(i, i) = 1;
  const auto statistics = InputStatistics<TestType>::from_sums(layer.context, 100, identity);
  for (GridSearch search : {GridSearch::MinMax, GridSearch::L24, GridSearch::Hessian})
    for (std::int64_t group_size : {-1, 8})
      for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh}) {
        GptqOptions options = gptq_options(3, group_size, false, mode, 16);
        options.grid.search = search;
        const RtnSolver<TestType, Cpu> rtn(layer.context, RtnOptions{options.grid});
        const QuantizedMatrix rounded = rtn.quantize(layer.W, rtn.prepare(statistics));
        const QuantizedMatrix solved = layer.gptq(options, layer.W, statistics);
        CHECK(same_codes(solved, rounded));
        CHECK(solved.report.relative_error == Approx(rounded.report.relative_error).epsilon(1e-5));
      }
}

TEST_CASE("with a diagonal H nothing is diffused, and every group is fitted with its own columns' weights") {
  const Layer<double> layer(9, 43, 5, 12);
  Matrix<double> H(43, 43, 0.0);
  for (Index i = 0; i < 43; ++i) H(i, i) = 0.01 + static_cast<double>(i * i * 13 % 43);
  const auto statistics = InputStatistics<double>::from_sums(layer.context, 100, H);
  const auto compare = [&](GptqOptions options) {
    options.grid.search = GridSearch::Hessian;
    const RtnSolver<double, Cpu> rtn(layer.context, RtnOptions{options.grid});
    CHECK(same_codes(layer.gptq(options, layer.W, statistics), rtn.quantize(layer.W, rtn.prepare(statistics))));
  };
  for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference}) {
    compare(gptq_options(2, 8, false, mode, 16));
    compare(gptq_options(2, -1, false, mode));
  }
  compare(gptq_options(2, 8, true, GroupMode::Static));
  compare(gptq_options(2, -1, true, GroupMode::Fresh));  // one group: that of all columns in any order
}

TEMPLATE_TEST_CASE("weights that lie on the grid come back", "", float, double) {
  const Layer<TestType> layer(6, 40, 80, 2);
  Random random(7);
  Matrix<TestType> W(6, 40);
  Matrix<std::uint8_t> codes(6, 40);
  for (Index r = 0; r < 6; ++r)
    for (Index j = 0; j < 40; ++j) {
      // Each group of 10 has codes 0 and 7 (min-max then finds the grid), scales are short binary fractions.
      const int code = j % 10 == 3 ? 0 : j % 10 == 8 ? 7 : static_cast<int>(random.below(8));
      codes(r, j) = static_cast<std::uint8_t>(code);
      W(r, j) = static_cast<TestType>(code - static_cast<int>(1 + r)) * static_cast<TestType>(1 + j / 10) / 64;
    }
  for (bool order : {false, true}) {
    const QuantizedMatrix result = layer.gptq(gptq_options(3, 10, order), W, layer.statistics);
    CHECK(result.codes == codes);
    CHECK(dequantize(result) == converted<float>(W));
    CHECK(result.report.relative_error == 0);
  }
}

TEST_CASE("block size does not matter") {
  const Layer<double> layer(8, 150, 300, 3);
  for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh}) {
    const QuantizedMatrix whole = layer.gptq(gptq_options(3, 24, true, mode, 150));
    for (std::int64_t block : {1, 8, 32, 128})
      CHECK(same_codes(layer.gptq(gptq_options(3, 24, true, mode, block)), whole));
  }
  const Layer<float> single(8, 150, 300, 3);
  const double wanted = single.gptq(gptq_options(3, 24)).report.relative_error;
  for (std::int64_t block : {1, 8, 32})
    CHECK(single.gptq(gptq_options(3, 24, false, GroupMode::Static, block)).report.relative_error ==
          Approx(wanted).epsilon(0.02));
}

TEST_CASE("the number of threads does not change a byte") {
  for (bool order : {false, true})
    for (GroupMode mode : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference}) {
      GptqOptions options = gptq_options(4, 32, order, mode, 48);
      options.grid.search = GridSearch::Hessian;
      const Layer<float> one(70, 200, 260, 4, 1), two(70, 200, 260, 4, 2), three(70, 200, 260, 4, 3);
      const QuantizedMatrix result = one.gptq(options);
      CHECK(same_codes(two.gptq(options), result));
      CHECK(same_codes(three.gptq(options), result));
      CHECK(two.gptq(options).report.relative_error == result.report.relative_error);
    }
}

TEST_CASE("rows do not know of each other") {
  const Layer<double> layer(11, 37, 80, 5);
  Matrix<double> reversed(11, 37);
  for (Index r = 0; r < 11; ++r)
    for (Index j = 0; j < 37; ++j) reversed(r, j) = layer.W(10 - r, j);
  const GptqOptions options = gptq_options(3, 16, true);
  const QuantizedMatrix result = layer.gptq(options), turned = layer.gptq(options, reversed, layer.statistics);
  const QuantizedMatrix alone = layer.gptq(options, Matrix<double>(layer.W.view().middle_rows(4, 1)), layer.statistics);
  for (Index j = 0; j < 37; ++j) {
    for (Index r = 0; r < 11; ++r) CHECK(turned.codes(10 - r, j) == result.codes(r, j));
    CHECK(alone.codes(0, j) == result.codes(4, j));
  }
}

TEST_CASE("the reported error is that of the dequantised result") {
  for (bool order : {false, true})
    for (double damping : {0.0, 0.01, 1.0}) {
      GptqOptions options = gptq_options(2, 16, order);
      options.damping = damping;
      const Layer<double> exact(9, 50, 120, 6);
      const Layer<float> layer(9, 50, 120, 6), short_text(9, 50, 20, 6);
      const QuantizedMatrix a = exact.gptq(options), b = layer.gptq(options), c = short_text.gptq(options);
      CHECK(a.report.relative_error == Approx(naive_relative_error(dequantize(a), exact.W, exact.H())).epsilon(1e-6));
      CHECK(b.report.relative_error == Approx(naive_relative_error(dequantize(b), layer.W, layer.H())).epsilon(1e-3));
      CHECK(c.report.relative_error ==
            Approx(naive_relative_error(dequantize(c), short_text.W, short_text.H())).epsilon(1e-2));
    }
}

TEST_CASE("the reported error holds where damping is nearly all of the loss") {
  const Layer<float> layer(2, 700, 1, 13);  // one token: its output error can be diffused to almost nothing
  GptqOptions options = gptq_options(4);
  options.damping = 1;
  const QuantizedMatrix result = layer.gptq(options);
  CHECK(result.report.relative_error ==
        Approx(naive_relative_error(dequantize(result), layer.W, layer.H())).epsilon(1e-3).margin(1e-12));
}

TEST_CASE("act-order is solving the permuted problem") {
  const Layer<double> layer(6, 33, 70, 7);
  const std::vector<std::int32_t> order = descending_order(diagonal_of(layer.H()));
  const Layer<double> permuted(columns_in(layer.W, order), columns_in(layer.X, order));
  for (GroupMode mode : {GroupMode::Fresh, GroupMode::Reference}) {
    const QuantizedMatrix ordered = layer.gptq(gptq_options(3, 8, true, mode, 20));
    const QuantizedMatrix natural = permuted.gptq(gptq_options(3, 8, false, mode, 20));
    CHECK(columns_in(ordered.codes, order) == natural.codes);
    CHECK(ordered.uniform().scales == natural.uniform().scales);
    CHECK(natural.group_index.empty());
    for (Index p = 0; p < 33; ++p) CHECK(ordered.group_of(order[static_cast<std::size_t>(p)]) == p / 8);
  }
  CHECK(columns_in(layer.gptq(gptq_options(3, -1, true)).codes, order) == permuted.gptq(gptq_options(3, -1)).codes);
}

TEST_CASE("columns of equal diag(H) keep their order") {
  CHECK(descending_order({1, 3, 2, 3, 1, 3}) == std::vector<std::int32_t>{1, 3, 5, 2, 0, 4});
  CHECK(inverse_order({1, 3, 5, 2, 0, 4}) == std::vector<std::int32_t>{4, 0, 3, 1, 5, 2});
}

TEST_CASE("static groups stay consecutive columns and take the grids of RTN") {
  const Layer<float> layer(6, 50, 90, 8);
  for (bool order : {false, true}) {
    const GptqOptions options = gptq_options(4, 16, order);
    const QuantizedMatrix result = layer.gptq(options), rounded = layer.rtn(options.grid);
    CHECK(result.group_index.empty());
    CHECK(result.uniform().group_size == 16);
    CHECK(result.uniform().scales == rounded.uniform().scales);
    CHECK(result.uniform().zeros == rounded.uniform().zeros);
    CHECK_FALSE(GptqSolver<float, Cpu>(layer.context, options).group_index());
  }
  const GptqSolver<float, Cpu> dynamic(layer.context, gptq_options(4, 16, true, GroupMode::Fresh));
  CHECK(dynamic.group_index());
  CHECK(layer.gptq(dynamic.options()).group_index.size() == 50);
}

TEST_CASE("fresh and reference groups agree where a block is a group, and differ where it holds several") {
  const Layer<double> layer(6, 64, 130, 9);
  const auto solve = [&](GroupMode mode, std::int64_t block) {
    return layer.gptq(gptq_options(3, 16, false, mode, block));
  };
  CHECK(same_codes(solve(GroupMode::Fresh, 16), solve(GroupMode::Reference, 16)));
  CHECK(same_codes(solve(GroupMode::Fresh, 64), solve(GroupMode::Fresh, 16)));
  CHECK_FALSE(same_codes(solve(GroupMode::Reference, 64), solve(GroupMode::Reference, 16)));
}

TEST_CASE("the scale of H changes nothing") {
  const Layer<double> layer(6, 40, 90, 10);
  const Layer<float> single(6, 40, 90, 10);
  GptqOptions options = gptq_options(3, 8, true);
  const QuantizedMatrix result = layer.gptq(options);
  CHECK(same_codes(layer.gptq(options, layer.W, scaled_statistics(layer, 37.0)), result));
  CHECK(same_codes(layer.gptq(options, layer.W, scaled_statistics(layer, 1e-200)), result));
  const QuantizedMatrix plain = single.gptq(options);
  for (float factor : {0x1p-90f, 0x1p-3f, 0x1p90f}) {  // exact in float: then not a bit changes
    const QuantizedMatrix scaled = single.gptq(options, single.W, scaled_statistics(single, factor));
    CHECK(same_codes(scaled, plain));
    CHECK(scaled.report.relative_error == plain.report.relative_error);
  }
}

TEST_CASE("GPTQ beats rounding on the layer that it was given") {
  for (int bits : {2, 3, 4}) {
    const Layer<float> layer(32, 96, 200, 11);
    const double rounded = layer.rtn(gptq_options(bits).grid).report.relative_error;
    CHECK(layer.gptq(gptq_options(bits)).report.relative_error < 0.8 * rounded);
  }
}

TEST_CASE(
    "solves from statistics of rounded inputs multiply rounded numbers: nearly the same codes, as good a result") {
  Matrix<float> X = random_inputs<float>(900, 300, 41);
  for (Index i = 0; i < X.size(); ++i)
    X.data()[i] = static_cast<float>(BFloat16(X.data()[i]));  // rounding changes none
  const Layer<float> layer(random_matrix<float>(130, 300, 40, 0.1), X, 2);
  InputStatistics<float> rounded(layer.context, 300, Moments::Second, ProductType::BFloat16);
  rounded.add(X);
  for (int bits : {2, 4})
    for (bool act_order : {false, true}) {
      const GptqOptions options = gptq_options(bits, 64, act_order);
      const QuantizedMatrix exact = layer.gptq(options), near = layer.gptq(options, layer.W, rounded);
      CAPTURE(bits, act_order);
      CHECK(share_of_differences(exact.codes, near.codes) < 0.02);
      CHECK(near.report.relative_error == Approx(exact.report.relative_error).epsilon(0.01));
      // The reported error is that of the codes, but for the rounding in its denominator.
      CHECK(near.report.relative_error ==
            Approx(relative_output_error<float>(layer.context, dequantize(near), layer.W, layer.H())).epsilon(1e-3));
    }
}
