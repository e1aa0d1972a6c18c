// Tuning a single layer against its own objective, tr((Q − W) H (Q − W)ᵀ), whose gradient is 2 (Q − W) H.
#include "halftone/quant/metrics.hpp"
#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Inputs whose channels are correlated with their neighbours and of different loudness: as those of layers, but with
/// no direction that is hundreds of times louder than another, where codes that move together overshoot.
struct Layer {
  Matrix<float> W, X, H;

  explicit Layer(Index rows, Index cols, std::uint64_t seed)
      : W(random_matrix<float>(rows, cols, seed, 0.1)),
        X(random_matrix<float>(4 * cols, cols, seed + 1)),
        H(cols, cols, 0.0f) {
    for (Index t = 0; t < X.rows(); ++t) {
      for (Index j = 1; j < cols; ++j) X(t, j) = 0.8f * X(t, j) + 0.6f * X(t, j - 1);
      for (Index j = 0; j < cols; ++j) X(t, j) *= 1 + static_cast<float>(j * 7 % cols) / static_cast<float>(cols);
    }
    for (Index t = 0; t < X.rows(); ++t)
      for (Index i = 0; i < cols; ++i)
        for (Index j = 0; j < cols; ++j) H(i, j) += X(t, i) * X(t, j);
  }
  QuantizedMatrix solve(std::string_view method, const OptionMap& options) const {
    const Context<Cpu> context(1);
    InputStatistics<float> statistics(context, W.cols(), Moments::Second);
    statistics.add(X);
    return make_quantizer(context, method, options)->quantize(W, statistics);
  }
  double objective(const Context<Cpu>& context, const Matrix<float>& Q) const {
    return quadratic_error<float>(context, Q, W, H);
  }
  Matrix<float> gradient(const Context<Cpu>& context, Matrix<float> Q) const {
    Matrix<float> dW(Q.rows(), Q.cols());
    add_scaled<float>(context, Q.view(), -1.0f, W);
    gemm<float>(context, Transpose::No, Transpose::No, 2.0f, std::as_const(Q).view(), H.view(), 0.0f, dW.view());
    return dW;
  }
};

struct Tuned {
  double before = 0, after = 0;
  QuantizedMatrix result;
};

/// The best of looks at every tenth step.
Tuned tune(const Context<Cpu>& context, const Layer& layer, const QuantizedMatrix& start,
           const TrainableOptions& trainable_options, const OptimiserOptions& options) {
  const auto trainable = make_trainable(context, layer.W, start, trainable_options);
  Optimiser optimiser(context, trainable->parameters(), options);
  BestLook best(context);
  for (int step = 0; step <= options.steps; ++step) {
    const Matrix<float> Q = forward(*trainable);
    if (step % 10 == 0) best.offer(layer.objective(context, Q), optimiser.groups());
    trainable->backward(layer.gradient(context, Q));
    optimiser.step();
  }
  best.restore_to(optimiser.groups());
  Tuned tuned{layer.objective(context, dequantize(start)), best.loss(), trainable->result()};
  CHECK(layer.objective(context, dequantize(tuned.result)) == best.loss());
  return tuned;
}

/// Without momentum: codes that one step takes over an edge come back at once where that was wrong.
OptimiserOptions adam(int steps, double rate) {
  OptimiserOptions options;
  options.beta1 = 0;
  options.steps = steps;
  options.rate = rate;
  return options;
}

}  // namespace

TEST_CASE("every trainable lowers the objective of plain rounding") {
  const Context<Cpu> context(1);
  const Layer layer(16, 64, 1);
  for (const char* bits : {"2", "3"})
    for (const TrainableKind kind : all_kinds) {
      CAPTURE(bits, word_of(kind));
      const QuantizedMatrix start = layer.solve("rtn", {{"bits", bits}, {"group_size", "32"}});
      const Tuned tuned = tune(context, layer, start, options_of(kind), adam(300, 0.002));
      CHECK(tuned.after < (kind == TrainableKind::Scales ? 0.97 : 0.85) * tuned.before);
    }
}

TEST_CASE("tuning lowers the objective below the solver's own: scales, and codes with them") {
  const Context<Cpu> context(1);
  const Layer layer(16, 64, 2);
  for (const char* method : {"gptq", "gptqt"}) {
    CAPTURE(method);
    const QuantizedMatrix start = layer.solve(method, {{"bits", "2"}, {"group_size", "32"}});
    const Tuned scales = tune(context, layer, start, options_of(TrainableKind::Scales), adam(400, 0.02));
    TrainableOptions options = options_of(TrainableKind::Latent);
    options.margin = 0.25;
    options.scale_rate = start.binary_coded() ? 1 : 0.1;
    const Tuned codes = tune(context, layer, start, options, adam(600, 0.01));
    CHECK(scales.after < 0.95 * scales.before);
    CHECK(codes.after < (start.binary_coded() ? 0.97 : 0.85) * codes.before);
    if (!start.binary_coded()) CHECK_FALSE(codes.result.codes == start.codes);
  }
}

TEST_CASE("a solver's result learns another objective, as that of blocks further on is, whatever is trained") {
  const Context<Cpu> context(1);
  Layer layer(16, 64, 3);
  for (const char* method : {"gptq", "gptqt"}) {
    const QuantizedMatrix start = layer.solve(method, {{"bits", "3"}, {"group_size", "32"}});
    Layer other = layer;
    for (Index i = 0; i < 64; ++i)
      for (Index j = 0; j < 64; ++j) other.H(i, j) *= static_cast<float>((1 + 7 * i % 5) * (1 + 7 * j % 5));
    for (const TrainableKind kind : all_kinds) {
      if (!is_legal(kind, start)) continue;
      CAPTURE(method, word_of(kind));
      TrainableOptions options = options_of(kind);
      options.margin = 0.25;
      const Tuned tuned = tune(context, other, start, options, adam(400, 0.01));
      CHECK(tuned.after < 0.97 * tuned.before);
    }
  }
}

TEST_CASE("sign-SGD as in the paper lowers the objective of plain rounding, within its reach") {
  const Context<Cpu> context(1);
  const Layer layer(16, 64, 3);
  const QuantizedMatrix start = layer.solve("rtn", {{"bits", "2"}, {"group_size", "32"}});
  OptimiserOptions options;
  options.kind = OptimiserKind::SignSgd;
  options.decay = Decay::Linear;
  options.steps = 200;
  options.rate = 1.0 / options.steps;
  CHECK(tune(context, layer, start, options_of(TrainableKind::SignRound), options).after <
        0.9 * layer.objective(context, dequantize(start)));
  const auto trainable = make_trainable(context, layer.W, start, options_of(TrainableKind::SignRound));
  Optimiser optimiser(context, trainable->parameters(), options);
  for (int step = 0; step < options.steps; ++step) {
    trainable->backward(layer.gradient(context, forward(*trainable)));
    optimiser.step();
  }
  forward(*trainable);                          // moves what is out of bounds
  const float reach = 201.0f / 400.0f + 1e-4f;  // (n + 1) / 2n
  for (const float offset : parameters_of(*trainable, "rounding").values) CHECK(std::abs(offset) <= reach);
  for (const char* name : {"alpha", "beta"})
    for (const float factor : parameters_of(*trainable, name).values) CHECK((factor >= 1 - reach && factor <= 1));
}

TEST_CASE("outlier columns take part") {
  const Context<Cpu> context(1);
  const Layer layer(16, 48, 5);
  const QuantizedMatrix start = layer.solve("owq", {{"bits", "2"}, {"group_size", "16"}, {"outlier_columns", "4"}});
  TrainableOptions with = options_of(TrainableKind::Scales), without = with;
  without.outliers = false;
  const Tuned all = tune(context, layer, start, with, adam(200, 0.05)),
              grid = tune(context, layer, start, without, adam(200, 0.05));
  CHECK(all.after < grid.after);
  CHECK(grid.after < grid.before);
}

TEST_CASE("the same bytes for any number of threads") {
  const Layer layer(37, 80, 7);
  for (const char* method : {"gptq", "gptqt"})
    for (const TrainableKind kind : all_kinds) {
      const auto run = [&](int threads) {
        const Context<Cpu> context(threads);
        const QuantizedMatrix start =
            layer.solve(method, {{"bits", "3"}, {"group_size", "16"}, {"outlier_columns", "3"}});
        if (!is_legal(kind, start)) return start;
        return tune(context, layer, start, options_of(kind), adam(20, 0.03)).result;
      };
      CAPTURE(method, word_of(kind));
      const QuantizedMatrix once = run(1);
      CHECK(same_codes(run(3), once));
      CHECK(same_codes(run(2), once));
    }
}
