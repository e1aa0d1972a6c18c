// Optimisers against plain loops in double, their rates, and looks.
#include "halftone/tune/optimiser.hpp"

#include <cmath>
#include <limits>

#include "tune/support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Two groups of numbers with gradients.
struct Numbers {
  std::vector<float> a = {1, -2, 0.5f}, b = {10, 0, -3, 4}, da = {0, 0, 0}, db = {0, 0, 0, 0};
  std::vector<ParameterGroup> groups() { return {{"a", a, da, 1}, {"b", b, db, 0.1}}; }
};

float gradient_at(int step, std::size_t group, std::size_t i) {
  return static_cast<float>(std::sin(1.7 * step + 2.3 * static_cast<double>(i) + static_cast<double>(group)) *
                            std::pow(10.0, -3.0 * static_cast<double>(i)));
}

}  // namespace

TEST_CASE("rates decay from the first step to the last") {
  OptimiserOptions options;
  options.rate = 0.4;
  options.steps = 4;
  options.decay = Decay::Constant;
  CHECK(learning_rate(options, 0) == 0.4);
  CHECK(learning_rate(options, 3) == 0.4);
  options.decay = Decay::Linear;
  for (int t = 0; t < 4; ++t) CHECK(learning_rate(options, t) == Approx(0.4 * (1 - t / 4.0)));
  CHECK(learning_rate(options, 9) == learning_rate(options, 3));
  options.decay = Decay::Cosine;
  CHECK(learning_rate(options, 0) == Approx(0.4));
  CHECK(learning_rate(options, 1) == Approx(0.4 * 0.5 * (1 + std::sqrt(0.5))));
  CHECK(learning_rate(options, 2) == Approx(0.2));
  options.decay_to = 0.5;
  CHECK(learning_rate(options, 2) == Approx(0.3));
  options.decay = Decay::Linear;
  CHECK(learning_rate(options, 2) == Approx(0.3));
}

TEST_CASE("sign-SGD moves by its rate, and not where the gradient is 0") {
  const Context<Cpu> context(1);
  Numbers numbers;
  OptimiserOptions options;
  options.kind = OptimiserKind::SignSgd;
  options.decay = Decay::Linear;
  options.steps = 2;
  options.rate = 0.5;
  Optimiser optimiser(context, numbers.groups(), options);
  numbers.da = {3, -1e-30f, 0};
  numbers.db = {-1, std::numeric_limits<float>::quiet_NaN(), 1, std::numeric_limits<float>::infinity()};
  optimiser.step();
  CHECK(numbers.a == std::vector<float>{0.5f, -1.5f, 0.5f});
  CHECK(numbers.b == std::vector<float>{10.05f, 0, -3.05f, 4});
  CHECK(numbers.da == std::vector<float>{0, 0, 0});
  CHECK(numbers.db == std::vector<float>{0, 0, 0, 0});
  numbers.da = {1, 0, 0};
  optimiser.step();
  CHECK(numbers.a == std::vector<float>{0.25f, -1.5f, 0.5f});
  CHECK(optimiser.steps_done() == 2);
}

TEST_CASE("AdamW is its formulas") {
  const Context<Cpu> context(1);
  Numbers numbers;
  OptimiserOptions options;
  options.steps = 30;
  options.rate = 0.02;
  options.weight_decay = 0.3;
  Optimiser optimiser(context, numbers.groups(), options);
  std::vector<std::vector<double>> p = {{1, -2, 0.5}, {10, 0, -3, 4}}, m = {{0, 0, 0}, {0, 0, 0, 0}}, v = m;
  for (int t = 1; t <= 30; ++t) {
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t i = 0; i < p[g].size(); ++i) {
        const double gradient = gradient_at(t, g, i), rate = learning_rate(options, t - 1) * (g == 0 ? 1 : 0.1);
        (g == 0 ? numbers.da : numbers.db)[i] = static_cast<float>(gradient);
        m[g][i] = 0.9 * m[g][i] + 0.1 * gradient;
        v[g][i] = 0.999 * v[g][i] + 0.001 * gradient * gradient;
        p[g][i] -= rate * (m[g][i] / (1 - std::pow(0.9, t)) / (std::sqrt(v[g][i] / (1 - std::pow(0.999, t))) + 1e-12) +
                           0.3 * p[g][i]);
      }
    optimiser.step();
  }
  for (std::size_t g = 0; g < 2; ++g)
    for (std::size_t i = 0; i < p[g].size(); ++i)
      CHECK((g == 0 ? numbers.a : numbers.b)[i] == Approx(p[g][i]).epsilon(1e-5).margin(1e-5));
}

TEST_CASE("AdamW stands where there is no gradient, and passes over what is none") {
  const Context<Cpu> context(1);
  Numbers numbers;
  Optimiser optimiser(context, numbers.groups(), {});
  numbers.db = {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(), 0, 0};
  optimiser.step();
  const Numbers fresh;
  CHECK(numbers.a == fresh.a);
  CHECK(numbers.b == fresh.b);
}

TEST_CASE("optimisers give the same bytes on any number of threads") {
  const auto run = [](OptimiserKind kind, int threads) {
    const Context<Cpu> context(threads);
    Matrix<float> values = random_matrix<float>(1, 100000, 1), gradients(1, 100000, 0.0f);
    OptimiserOptions options;
    options.kind = kind;
    Optimiser optimiser(context, {{"x", {values.data(), 100000}, {gradients.data(), 100000}, 1}}, options);
    for (std::uint64_t step = 0; step < 3; ++step) {
      const Matrix<float> fresh = random_matrix<float>(1, 100000, 2 + step);
      std::copy_n(fresh.data(), fresh.size(), gradients.data());
      optimiser.step();
    }
    return values;
  };
  for (const OptimiserKind kind : {OptimiserKind::SignSgd, OptimiserKind::AdamW})
    CHECK(same_bytes(run(kind, 1), run(kind, 3)));
}

TEST_CASE("options of optimisers have bounds") {
  const Context<Cpu> context(1);
  Numbers numbers;
  const auto message = [&](auto change) {
    OptimiserOptions options;
    change(options);
    return error_of([&] { Optimiser(context, numbers.groups(), options); });
  };
  using O = OptimiserOptions;
  CHECK(message([](O&) {}).empty());
  CHECK(message([](O& o) { o.steps = 0; }).find("invalid_argument: optimiser: steps is 0") == 0);
  CHECK(message([](O& o) { o.rate = -1; }).find("invalid_argument: optimiser: rate is -1") == 0);
  CHECK(message([](O& o) { o.rate = std::nan(""); }).find("invalid_argument: optimiser: rate") == 0);
  CHECK(message([](O& o) { o.beta2 = 1; }).find("invalid_argument: optimiser: beta2 is 1") == 0);
  CHECK(message([](O& o) { o.epsilon = 0; }).find("invalid_argument: optimiser: epsilon is 0") == 0);
  numbers.da.pop_back();
  CHECK(message([](O&) {}) == "shape_mismatch: optimiser: a has 3 values and 2 gradients");
}

TEST_CASE("the best look comes back, the first of equal ones, and never NaN") {
  const Context<Cpu> context(1);
  Numbers numbers;
  BestLook best(context);
  const auto look = [&](double loss, float value) {
    numbers.a[0] = value;
    numbers.b[3] = -value;
    return best.offer(loss, numbers.groups());
  };
  best.restore_to(numbers.groups());
  CHECK(numbers.a[0] == 1);
  CHECK(best.look() == -1);
  CHECK_FALSE(look(std::nan(""), 1));
  CHECK(look(3, 2));
  CHECK(look(1, 3));
  CHECK_FALSE(look(1, 4));
  CHECK_FALSE(look(2, 5));
  best.restore_to(numbers.groups());
  CHECK((numbers.a[0] == 3 && numbers.b[3] == -3));
  CHECK(best.loss() == 1);
  CHECK(best.look() == 2);
  std::vector<ParameterGroup> fewer = numbers.groups();
  fewer[1].values = fewer[1].values.first(3);
  CHECK(error_of([&] { best.restore_to(fewer); }) == "shape_mismatch: best look: b had 4 values, got 3");
  fewer.pop_back();
  CHECK(error_of([&] { best.restore_to(fewer); }) == "shape_mismatch: best look: of 2 groups of parameters, got 1");
}
