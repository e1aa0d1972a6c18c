// Targets and outlier columns: identities of GPTQv2's second update, of the exact target and of kept columns, against
// plain double arithmetic with explicit inverses.
#include <catch2/catch.hpp>

#include "halftone/solver/gptqv2.hpp"
#include "halftone/solver/owq.hpp"
#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A layer whose inputs deviate from the full-precision stream's: X = X_fp + noise − a share of X_fp.
template <class S>
struct TwoStreams {
  Context<Cpu> context{2};
  Matrix<S> W, X_fp, X;
  InputStatistics<S> statistics;

  TwoStreams(Index rows, Index width, Index tokens, std::uint64_t seed, double deviation = 0.15)
      : W(random_matrix<S>(rows, width, seed, 0.1)),
        X_fp(random_inputs<S>(tokens, width, seed + 1)),
        X(X_fp),
        statistics(context, width, Moments::Cross) {
    const Matrix<S> noise = random_inputs<S>(tokens, width, seed + 2);
    for (Index i = 0; i < X.size(); ++i)
      X.data()[i] += static_cast<S>(deviation) * (noise.data()[i] - S(0.4) * X_fp.data()[i]);
    statistics.add(X, X_fp);
  }
  TwoStreams(const TwoStreams&) = delete;

  template <class Solver>
  QuantizedMatrix solve(const typename Solver::Options& options) const {
    const Solver solver(context, options);
    return solver.quantize(W, solver.prepare(statistics));
  }
  /// ‖X_fp Wᵀ − X Qᵀ‖².
  double asymmetric_error(const Matrix<float>& Q) const {
    double error = 0;
    for (Index t = 0; t < X.rows(); ++t)
      for (Index r = 0; r < W.rows(); ++r) {
        double sum = 0;
        for (Index j = 0; j < W.cols(); ++j)
          sum += static_cast<double>(X_fp(t, j)) * W(r, j) - static_cast<double>(X(t, j)) * Q(r, j);
        error += sum * sum;
      }
    return error;
  }
};

using V2 = GptqV2Solver<double, Cpu>;
using Gptq = GptqSolver<double, Cpu>;
using Owq = OwqSolver<double, Cpu>;

GptqV2Options v2_options(double alpha, SecondMode mode, std::int64_t block = 128) {
  GptqV2Options options;
  options.grid.bits = 3;
  options.grid.group_size = -1;
  options.target.alpha = alpha;
  options.target.second = mode;
  options.block_size = block;
  return options;
}

GptqOptions shift_options(double beta, int bits = 3) {
  GptqOptions options = gptq_options(bits);
  options.target.target = Target::Shift;
  options.target.beta = beta;
  return options;
}

/// H + λI of a layer in natural order, λ = 0.01 mean.
Matrix<double> damped(const Matrix<double>& H) {
  Matrix<double> Hd = H;
  double mean = 0;
  for (Index i = 0; i < H.rows(); ++i) mean += H(i, i) / static_cast<double>(H.rows());
  for (Index i = 0; i < H.rows(); ++i) Hd(i, i) += 0.01 * mean;
  return Hd;
}

/// P = T U of the second update, α = 1.
Matrix<double> second_update(const TwoStreams<double>& layer, const V2::Prepared& prepared) {
  Matrix<double> P(prepared.T.rows(), prepared.T.cols());
  gemm(layer.context, Transpose::No, Transpose::No, 1.0, prepared.T.view(), prepared.factor.view(), 0.0, P.view());
  return P;
}

}  // namespace

TEST_CASE("P is D times the inverse of what is still to come, strictly upper") {
  for (Index width : {1, 7, 40}) {
    const TwoStreams<double> layer(3, width, 90, 5);
    const V2 solver(layer.context, v2_options(0.25, SecondMode::Pre));
    const auto prepared = solver.prepare(layer.statistics);
    const Matrix<double> Hd = damped(layer.statistics.second_moments());
    const Matrix<double>& D = layer.statistics.cross_moments();
    const Matrix<double> P = second_update(layer, prepared);
    for (Index q = 0; q < width; ++q) {
      for (Index j = 0; j <= q; ++j) CHECK(P(q, j) == 0);
      if (q + 1 == width) continue;
      const Matrix<double> inverse = naive_inverse(trailing(Hd, q + 1));
      for (Index j = q + 1; j < width; ++j) {
        double wanted = 0;
        for (Index k = q + 1; k < width; ++k) wanted += D(q, k) * inverse(k - q - 1, j - q - 1);
        CHECK(P(q, j) == Approx(wanted).margin(1e-10));
      }
    }
  }
}

TEST_CASE("T is the same whatever the cut of its product") {
  const TwoStreams<double> layer(2, 700, 800, 9);  // wider than a cut
  const auto prepared = [&](SecondMode mode) {
    return V2(layer.context, v2_options(1, mode)).prepare(layer.statistics);
  };
  const auto whole = prepared(SecondMode::Reference), panels = prepared(SecondMode::Pre);
  REQUIRE(whole.panel == one_panel);  // its factor is U
  REQUIRE(panels.panel < 700);
  const auto D = ordered_cross_moments(whole);
  Matrix<double> T(700, 700);
  gemm(layer.context, Transpose::No, Transpose::Yes, 1.0, D.view(), whole.factor.view(), 0.0, T.view());
  clear_lower(layer.context, T.view());
  const auto distance = [&](const Matrix<double>& other) {
    double worst = 0;
    for (Index i = 0; i < T.size(); ++i) worst = std::max(worst, std::abs(T.data()[i] - other.data()[i]));
    return worst;
  };
  CHECK(distance(whole.T) < 1e-9);
  CHECK(distance(panels.T) < 1e-9);
}

TEST_CASE("mode pre does not depend on the block size; mode reference does, and agrees where one block holds all") {
  const TwoStreams<double> layer(20, 96, 400, 3);
  const auto codes = [&](SecondMode mode, std::int64_t block) {
    return layer.solve<V2>(v2_options(0.5, mode, block)).codes;
  };
  const Matrix<std::uint8_t> whole = codes(SecondMode::Pre, 96);
  for (std::int64_t block : {1, 8, 32, 128}) CHECK(codes(SecondMode::Pre, block) == whole);
  CHECK(codes(SecondMode::Reference, 96) == whole);
  CHECK_FALSE(codes(SecondMode::Reference, 16) == whole);
  CHECK(codes(SecondMode::PreClamped, 96) == whole);  // clamping only concerns the columns behind a block
}

TEST_CASE("equal streams make every target GPTQ") {
  const TwoStreams<double> layer(12, 48, 200, 11, 0);
  const Matrix<std::uint8_t> gptq = layer.solve<Gptq>(gptq_options(3)).codes;
  CHECK(layer.solve<V2>(v2_options(1, SecondMode::Reference)).codes == gptq);
  CHECK(layer.solve<V2>(v2_options(1, SecondMode::PreClamped, 16)).codes == gptq);
  CHECK(layer.solve<Gptq>(shift_options(1)).codes == gptq);
}

TEST_CASE("the exact target solves the asymmetric problem: GPTQ > GPTQv2 > shift on its objective") {
  const TwoStreams<double> layer(32, 64, 1500, 21);
  const double gptq = layer.asymmetric_error(dequantize(layer.solve<Gptq>(gptq_options(3))));
  const double v2 = layer.asymmetric_error(dequantize(layer.solve<V2>(v2_options(0.25, SecondMode::Reference))));
  const double shift = layer.asymmetric_error(dequantize(layer.solve<Gptq>(shift_options(1))));
  CHECK(v2 < gptq);
  CHECK(shift < v2);
  CHECK(layer.asymmetric_error(dequantize(layer.solve<Gptq>(shift_options(0.5)))) < gptq);
  CHECK(layer.solve<Gptq>(shift_options(0)).codes == layer.solve<Gptq>(gptq_options(3)).codes);
}

TEST_CASE("the shifted problem differs from the asymmetric one by a constant") {
  const TwoStreams<double> layer(6, 24, 200, 31);
  const Gptq solver(layer.context, shift_options(1));
  const auto prepared = solver.prepare(layer.statistics);
  const Matrix<double> target = shifted_weights<double, Cpu>(prepared, layer.W.view(), 1.0);
  const Matrix<double> Hd = damped(layer.statistics.second_moments());
  const auto both = [&](std::uint64_t seed) {  // of some Q: asymmetric + λ‖Q − W‖² less the quadratic form
    const Matrix<float> Q = random_matrix<float>(6, 24, seed, 0.1);
    double ridge = 0, quadratic = 0;
    for (Index r = 0; r < 6; ++r)
      for (Index i = 0; i < 24; ++i) {
        const double move = Q(r, i) - layer.W(r, i);
        ridge += prepared.lambda() * move * move;
        for (Index j = 0; j < 24; ++j) quadratic += (Q(r, i) - target(r, i)) * Hd(i, j) * (Q(r, j) - target(r, j));
      }
    return layer.asymmetric_error(Q) + ridge - quadratic;
  };
  const double constant = both(1);
  for (std::uint64_t seed : {2u, 3u, 4u}) CHECK(both(seed) == Approx(constant).epsilon(1e-9));
}

TEST_CASE("a channel that only the full-precision stream uses still moves the target") {
  TwoStreams<double> layer(4, 12, 80, 41);
  Matrix<double> X = layer.X;
  for (Index t = 0; t < X.rows(); ++t) X(t, 5) = 0;
  InputStatistics<double> statistics(layer.context, 12, Moments::Cross);
  statistics.add(X, layer.X_fp);
  const Gptq solver(layer.context, shift_options(1, 8));
  const auto prepared = solver.prepare(statistics);
  CHECK(prepared.report.dead_columns == 1);
  const auto with = shifted_weights<double, Cpu>(prepared, layer.W.view(), 1.0);
  Matrix<double> without_channel = layer.W;
  for (Index r = 0; r < 4; ++r) without_channel(r, 5) = 0;
  const auto without = shifted_weights<double, Cpu>(prepared, without_channel.view(), 1.0);
  CHECK_FALSE(with(0, 0) == Approx(without(0, 0)).epsilon(1e-6));
  const Matrix<float> values = dequantize(solver.quantize(layer.W, prepared));
  for (Index r = 0; r < 4; ++r) CHECK(values(r, 5) == 0);
}

TEST_CASE("outlier columns end at the least-squares optimum given the rest") {
  const Layer<double> layer(10, 32, 300, 51);
  OwqOptions options;
  options.grid = {.bits = 3, .group_size = -1, .search = GridSearch::Hessian, .scale_type = ScaleType::F32};
  options.outliers.outlier_columns = 4;
  const Owq solver(layer.context, options);
  const QuantizedMatrix result = solver.quantize(layer.W, solver.prepare(layer.statistics));
  const std::vector<std::int32_t>& kept = result.outliers.columns;
  REQUIRE(kept.size() == 4);
  // The gradient of tr((Q−W) Hd (Q−W)ᵀ) along the kept columns vanishes.
  const Matrix<float> Q = dequantize(result);
  const Matrix<double> Hd = damped(layer.H());
  for (Index r = 0; r < 10; ++r)
    for (std::int32_t k : kept) {
      double gradient = 0, size = 0;
      for (Index j = 0; j < 32; ++j) {
        gradient += (Q(r, j) - layer.W(r, j)) * Hd(j, k);
        size += std::abs((Q(r, j) - layer.W(r, j)) * Hd(j, k));
      }
      CHECK(std::abs(gradient) < 1e-4 * size);
    }
}

TEST_CASE("no outlier columns is GPTQ on the same grid; all of them is the weights") {
  const Layer<double> layer(6, 20, 100, 61);
  OwqOptions options;
  options.grid = {.bits = 3, .group_size = 8, .search = GridSearch::Hessian, .scale_type = ScaleType::F32};
  GptqOptions gptq = gptq_options(3, 8);
  gptq.grid = options.grid;
  const auto solve = [&](double columns) {
    options.outliers.outlier_columns = columns;
    const Owq solver(layer.context, options);
    return solver.quantize(layer.W, solver.prepare(layer.statistics));
  };
  CHECK(same_codes(solve(0), layer.gptq(gptq)));
  const QuantizedMatrix all = solve(20);
  CHECK(all.outliers.columns.size() == 20);
  for (Index i = 0; i < layer.W.size(); ++i) CHECK(dequantize(all).data()[i] == static_cast<float>(layer.W.data()[i]));
  CHECK(solve(0.1).outliers.columns.size() == 2);  // a share of the columns
  double before = 1e300;
  for (double k : {0.0, 1.0, 3.0, 8.0, 15.0}) {
    const double error = solve(k).report.relative_error;
    CHECK(error < before);
    before = error;
  }
}

TEST_CASE("codes of outlier columns decode to zero, and their bits are counted") {
  const Layer<float> layer(5, 24, 100, 71);
  OwqOptions options;
  options.grid = {.bits = 4, .group_size = 8};
  options.outliers.outlier_columns = 3;
  const OwqSolver<float, Cpu> solver(layer.context, options);
  QuantizedMatrix result = solver.quantize(layer.W, solver.prepare(layer.statistics));
  CHECK(stored_bits(result) == 5 * 24 * 4 + 5 * 3 * (16 + 4) + 3 * (5 * 16 + 32));
  const std::vector<std::int32_t> columns = result.outliers.columns;
  result.outliers = {};
  const Matrix<float> values = dequantize(result);
  for (std::int32_t k : columns)
    for (Index r = 0; r < 5; ++r) CHECK(values(r, k) == 0);
}

TEST_CASE("every combination of target, order, groups and outlier columns solves, the same on any number of threads") {
  const TwoStreams<float> layer(17, 40, 120, 81);
  for (Target target : {Target::Symmetric, Target::Alpha, Target::Shift})
    for (bool act_order : {false, true})
      for (OrderKey key : {OrderKey::Diagonal, OrderKey::Sensitivity})
        for (GroupMode groups : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference})
          for (double outliers : {0.0, 3.0}) {
            GptqOptions options = gptq_options(3, 16, act_order, groups, 24);
            options.target.target = target;
            options.order_key = key;
            options.outliers.outlier_columns = outliers;
            const auto run = [&](int threads) {
              const Context<Cpu> context(threads);
              const GptqSolver<float, Cpu> solver(context, options);
              return solver.quantize(layer.W, solver.prepare(layer.statistics));
            };
            const QuantizedMatrix one = run(1);
            CHECK(one.report.relative_error < 0.2);
            CHECK(one.outliers.columns.size() == static_cast<std::size_t>(outliers));
            CHECK(same_codes(one, run(2)));
          }
}
