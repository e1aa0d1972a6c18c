// The axes of the space together: binary coding in the column loop, refinement behind any solver.
#include <catch2/catch.hpp>

#include "halftone/solver/best.hpp"
#include "halftone/solver/gptqt.hpp"
#include "halftone/solver/quantizer.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Statistics with D, from inputs whose deviation has structure.
template <class S>
InputStatistics<S> cross_statistics(const Context<Cpu>& context, Index width, Index tokens, std::uint64_t seed) {
  InputStatistics<S> statistics(context, width, Moments::Cross);
  const Matrix<S> X = random_inputs<S>(tokens, width, seed);
  Matrix<S> X_fp = X;
  Random random(seed);
  for (Index t = 0; t < tokens; ++t)
    for (Index j = 0; j < width; ++j)
      X_fp(t, j) += static_cast<S>(0.1) * X(t, (j + 1) % width) + static_cast<S>(0.02 * random.normal());
  statistics.add(X, X_fp);
  return statistics;
}

DiffusionOptions point(int bits, Coding coding, Target target, double outliers, int rounds) {
  DiffusionOptions options;
  options.grid.bits = bits;
  options.grid.group_size = 24;
  options.grid.search = GridSearch::Hessian;
  options.coding = coding;
  options.target.target = target;
  options.outliers.outlier_columns = outliers;
  options.refine.refine = rounds;
  return options;
}

}  // namespace

TEST_CASE("binary coding in the column loop is that loop on the levels of its grid, in double") {
  const Layer<double> layer(24, 50, 400, 3);
  for (int bits : {2, 3, 4}) {
    CAPTURE(bits);
    DiffusionOptions options = point(bits, Coding::Binary, Target::Symmetric, 0, 0);
    options.grid.scale_type = ScaleType::F16;
    const DiffusionSolver<double, Cpu> solver(layer.context, "gptqt", options);
    const auto prepared = solver.prepare(layer.statistics);
    const QuantizedMatrix result = solver.quantize(layer.W, prepared);
    const BinaryGrid& grid = result.binary();
    Matrix<double> W = layer.W;
    const auto& U = prepared.factor;
    Index differing = 0;
    for (Index r = 0; r < 24; ++r)
      for (Index j = 0; j < 50; ++j) {
        const Index g = j / 24;
        double best = 0, least = 1e300;
        for (unsigned code = 0; code < 1u << bits; ++code) {
          const double value = decode_binary(code, grid.alphas.row(r) + g * bits, 1, grid.biases(r, g), bits);
          if (std::abs(W(r, j) - value) < least) least = std::abs(W(r, j) - value), best = value;
        }
        const double taken =
            decode_binary(result.codes(r, j), grid.alphas.row(r) + g * bits, 1, grid.biases(r, g), bits);
        differing += taken != best;
        const double e = (W(r, j) - taken) / U(j, j);
        for (Index c = j; c < 50; ++c) W(r, c) -= e * U(j, c);
      }
    CHECK(differing == 0);
    CHECK(result.report.relative_error ==
          Approx(naive_relative_error(dequantize(result), layer.W, layer.H())).epsilon(1e-6));
  }
}

TEST_CASE("binary coding is better than a uniform grid of as many bits, and both gain from refinement") {
  const Context<Cpu> context(2);
  const auto W = random_matrix<float>(64, 96, 8, 0.1);
  const auto statistics = cross_statistics<float>(context, 96, 700, 9);
  for (int bits : {2, 3}) {
    CAPTURE(bits);
    const auto error = [&](Coding coding, int rounds) {
      const DiffusionSolver<float, Cpu> solver(context, "x", point(bits, coding, Target::Symmetric, 0, rounds));
      const QuantizedMatrix result = solver.quantize(W, solver.prepare(statistics));
      CHECK(result.report.refine_rounds <= rounds);
      CHECK((rounds > 0) == (result.report.refine_gain > 0));
      return naive_relative_error(dequantize(result), W, statistics.second_moments());
    };
    const double uniform = error(Coding::Uniform, 0), binary = error(Coding::Binary, 0);
    CHECK(binary < uniform);
    CHECK(error(Coding::Uniform, 4) < 0.95 * uniform);
    CHECK(error(Coding::Binary, 4) < 0.95 * binary);
  }
}

TEST_CASE("every combination of coding, target, outlier columns and refinement solves, the same on any thread count") {
  const auto W = random_matrix<float>(40, 70, 4, 0.1);
  for (Coding coding : {Coding::Uniform, Coding::Binary})
    for (Target target : {Target::Symmetric, Target::Alpha, Target::Shift})
      for (double outliers : {0.0, 3.0})
        for (GroupMode groups : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference})
          for (int rounds : {0, 2}) {
            CAPTURE(word_of(coding), word_of(target), outliers, word_of(groups), rounds);
            DiffusionOptions options = point(3, coding, target, outliers, rounds);
            options.act_order = groups != GroupMode::Reference;
            options.groups = groups;
            const auto solved = [&](int threads) {
              const Context<Cpu> context(threads);
              const auto statistics = cross_statistics<float>(context, 70, 500, 11);
              const DiffusionSolver<float, Cpu> solver(context, "x", options);
              return solver.quantize(W, solver.prepare(statistics));
            };
            const QuantizedMatrix one = solved(1);
            CHECK(same_codes(one, solved(2)));
            CHECK(one.report.relative_error < 0.2);
            CHECK(static_cast<double>(one.outliers.columns.size()) == outliers);
            CHECK(one.binary_coded() == (coding == Coding::Binary));
            const Matrix<float> values = dequantize(one);
            for (Index i = 0; i < values.size(); ++i) REQUIRE(std::isfinite(values.data()[i]));
          }
}

TEST_CASE("kept columns refined are the best 16-bit values for the codes around them") {
  const Context<Cpu> context(1);
  const auto W = random_matrix<double>(16, 40, 4, 0.1);
  const auto statistics = cross_statistics<double>(context, 40, 400, 5);
  DiffusionOptions options = point(2, Coding::Uniform, Target::Symmetric, 2, 50);
  options.refine.refine_tolerance = 0;
  options.grid.scale_type = ScaleType::F32;
  const DiffusionSolver<double, Cpu> solver(context, "x", options);
  const QuantizedMatrix result = solver.quantize(W, solver.prepare(statistics));
  options.outliers.outlier_columns = 0;  // one order for all matrices: Hd is prepared with the stage
  const auto prepared = DiffusionSolver<double, Cpu>(context, "x", options).prepare(statistics);
  const Matrix<float> Q = dequantize(result);
  for (std::int32_t kept : result.outliers.columns)
    for (Index r = 0; r < 16; ++r) {
      double gradient = 0;
      for (Index i = 0; i < 40; ++i) gradient += (static_cast<double>(Q(r, i)) - W(r, i)) * prepared.damped(i, kept);
      CHECK(std::abs(gradient) < 1e-4 * prepared.damped(kept, kept) * std::abs(static_cast<double>(Q(r, kept))) + 1e-6);
    }
}

TEST_CASE("what binary coding cannot do is refused when the solver is made") {
  const Context<Cpu> context(1);
  const auto refused = [&](const OptionMap& options) {
    return error_of([&] { make_quantizer(context, "gptqt", options); });
  };
  CHECK_THAT(refused({{"sym", "true"}}), Catch::Contains("invalid_argument: gptqt: option 'sym'"));
  CHECK_THAT(refused({{"bits", "5"}}), Catch::Contains("wanted 2 .. 4 for a binary-coded grid"));
  CHECK_THAT(refused({{"bits", "4"}, {"step1_bits", "3"}}), Catch::Contains("wanted at least bits, 4"));
  CHECK(refused({{"bits", "2"}}).empty());
}
