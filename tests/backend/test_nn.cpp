#include "halftone/backend/nn.hpp"

#include <array>
#include <functional>
#include <limits>

#include "halftone/backend/leaf/lane_math.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Roundings of a short computation on numbers of order 1.
template <class S>
constexpr double tolerance = sizeof(S) == sizeof(float) ? 4e-6 : 1e-13;

const Index widths[] = {1, 3, 15, 16, 17, 48, 100};

/// y(row, column) of a norm in double, over runs of `width` columns.
template <class S>
Matrix<double> naive_norm(const Matrix<S>& x, const Matrix<S>& weight, const Matrix<S>* bias, double epsilon) {
  const Index width = weight.cols();
  Matrix<double> y(x.rows(), x.cols());
  for (Index i = 0; i < x.rows(); ++i)
    for (Index first = 0; first < x.cols(); first += width) {
      double mean = 0, square = 0;
      for (Index j = 0; j < width; ++j) mean += bias ? x(i, first + j) / static_cast<double>(width) : 0.0;
      for (Index j = 0; j < width; ++j) square += std::pow(x(i, first + j) - mean, 2) / static_cast<double>(width);
      for (Index j = 0; j < width; ++j)
        y(i, first + j) =
            (x(i, first + j) - mean) / std::sqrt(square + epsilon) * weight(0, j) + (bias ? (*bias)(0, j) : 0);
    }
  return y;
}

double naive_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::Relu: return x > 0 ? x : 0;
    case Activation::Silu: return x / (1 + std::exp(-x));
    case Activation::Gelu: return x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::GeluTanh: return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  }
  return 0;
}

constexpr Activation activations[] = {Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GeluTanh};

}  // namespace

TEMPLATE_TEST_CASE("exp is within two roundings", "", float, double) {
  using S = TestType;
  using namespace detail::HALFTONE_LEAF;
  constexpr double rounding = std::numeric_limits<S>::epsilon();
  const double lowest = sizeof(S) == 4 ? -87 : -708, highest = sizeof(S) == 4 ? 88 : 709;
  for (Index i = 0; i < 4000; ++i) {
    const S x = static_cast<S>(lowest + (highest - lowest) * static_cast<double>(i) / 3999);
    S y[Lanes<S>::count];
    detail::HALFTONE_LEAF::exp(Lanes<S>(x)).store(y);
    const double expected = std::exp(static_cast<double>(x));
    REQUIRE(std::abs(static_cast<double>(y[0]) - expected) <= 2 * rounding * expected);
  }
  constexpr S infinity = std::numeric_limits<S>::infinity();
  S y[Lanes<S>::count];
  detail::HALFTONE_LEAF::exp(Lanes<S>(S(0))).store(y);
  CHECK(y[0] == 1);
  detail::HALFTONE_LEAF::exp(Lanes<S>(-infinity)).store(y);
  CHECK(y[0] == 0);
  detail::HALFTONE_LEAF::exp(Lanes<S>(std::numeric_limits<S>::quiet_NaN())).store(y);
  CHECK(std::isnan(y[0]));
}

TEMPLATE_TEST_CASE("norms equal the double loop", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels())
    for (const Index width : widths)
      for (const Index groups : {1, 3}) {
        CAPTURE(kernels->isa, width, groups);
        const Context<Cpu> context(2, *kernels);
        const auto x = random_matrix<S>(5, width * groups, 1), weight = random_matrix<S>(1, width, 2),
                   bias = random_matrix<S>(1, width, 3);
        Matrix<S> rms(5, width * groups), layer(5, width * groups);
        rms_norm<S>(context, x, weight.data(), groups, 0.01, rms);
        layer_norm<S>(context, x, weight.data(), bias.data(), groups, 0.01, layer);
        CHECK(largest_difference(rms, naive_norm<S>(x, weight, nullptr, 0.01)) < tolerance<S>);
        CHECK(largest_difference(layer, naive_norm(x, weight, &bias, 0.01)) < tolerance<S>);

        Matrix<S> in_place(x);
        rms_norm<S>(context, in_place, weight.data(), groups, 0.01, in_place);
        CHECK(in_place == rms);
      }
}

TEST_CASE("norms do what their names say") {
  const Context<Cpu> context(1);
  const auto x = random_matrix<double>(4, 37, 1), weight = random_matrix<double>(1, 37, 2),
             bias = random_matrix<double>(1, 37, 3);
  Matrix<double> louder(x), once(4, 37), twice(4, 37);
  for (Index i = 0; i < louder.size(); ++i) louder.data()[i] *= 8;  // a power of two: exact
  rms_norm<double>(context, x, weight.data(), 1, 0, once);
  rms_norm<double>(context, louder, weight.data(), 1, 0, twice);
  CHECK(largest_difference(once, twice) < 1e-14);

  const Matrix<double> constant(4, 37, 2.0);
  layer_norm<double>(context, constant, weight.data(), bias.data(), 1, 1e-5, once);
  for (Index j = 0; j < 37; ++j) CHECK(once(3, j) == bias(0, j));
}

TEMPLATE_TEST_CASE("rotary positions turn pairs", "", float, double) {
  using S = TestType;
  constexpr Index length = 9, heads = 3, head_dim = 14, pairs = 5;  // four channels of a head stay
  const std::array<double, pairs> frequencies{1, 0.5, 0.1, 0.01, 1e-5};
  const auto table = rotary_table<S>(frequencies, length + 2);
  const auto x = random_matrix<S>(2 * length, heads * head_dim, 1);
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa);
    Matrix<S> y(2 * length, heads * head_dim);
    apply_rotary<S>(Context<Cpu>(2, *kernels), x, table, heads, length, y);
    Matrix<double> expected(2 * length, heads * head_dim);
    for (Index t = 0; t < 2 * length; ++t)
      for (Index j = 0; j < heads * head_dim; ++j) {
        const Index head = j / head_dim * head_dim, c = j % head_dim, i = c % pairs;
        const double angle = static_cast<double>(t % length) * frequencies[static_cast<std::size_t>(i)];
        const double a = x(t, head + i), b = x(t, head + pairs + i);
        expected(t, j) = c >= 2 * pairs ? static_cast<double>(x(t, j))
                         : c < pairs    ? a * std::cos(angle) - b * std::sin(angle)
                                        : b * std::cos(angle) + a * std::sin(angle);
      }
    CHECK(largest_difference(y, expected) < tolerance<S>);
    Matrix<S> in_place(x);
    apply_rotary<S>(Context<Cpu>(1, *kernels), in_place, table, heads, length, in_place);
    CHECK(in_place == y);
  }
}

TEMPLATE_TEST_CASE("rotary pairs of neighbours turn by angles of their own", "", float, double) {
  using S = TestType;
  constexpr Index length = 7, heads = 3;
  for (const Index pairs : {1, 3, 8, 19})
    for (const Index rest : {0, 1, 4}) {  // channels of a head that stay
      const Index head_dim = 2 * pairs + rest;
      auto angles = random_matrix<double>(length, pairs, 2);
      for (Index i = 0; i < pairs; ++i) angles(0, i) = 0;  // a class token
      const auto x = random_matrix<S>(2 * length, heads * head_dim, 1);
      const auto table = rotary_table<S>(angles.view(), RotaryPairs::Adjacent);
      for (const auto* kernels : every_kernels()) {
        CAPTURE(kernels->isa, pairs, rest);
        Matrix<S> y(2 * length, heads * head_dim);
        apply_rotary<S>(Context<Cpu>(2, *kernels), x, table, heads, length, y);
        Matrix<double> expected(2 * length, heads * head_dim);
        for (Index t = 0; t < 2 * length; ++t)
          for (Index j = 0; j < heads * head_dim; ++j) {
            const Index c = j % head_dim;
            if (c >= 2 * pairs) {
              expected(t, j) = x(t, j);
              continue;
            }
            const double angle = angles(t % length, c / 2), own = x(t, j);
            expected(t, j) = c % 2 == 0 ? own * std::cos(angle) - x(t, j + 1) * std::sin(angle)
                                        : own * std::cos(angle) + x(t, j - 1) * std::sin(angle);
          }
        CHECK(largest_difference(y, expected) < tolerance<S>);
        for (Index j = 0; j < heads * head_dim; ++j) CHECK(y(length, j) == x(length, j));
        Matrix<S> in_place(x);
        apply_rotary<S>(Context<Cpu>(1, *kernels), in_place, table, heads, length, in_place);
        CHECK(in_place == y);
      }
    }
}

TEMPLATE_TEST_CASE("activations and gates equal the double loop", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels())
    for (const Activation activation : activations)
      for (const Index width : widths) {
        CAPTURE(kernels->isa, std::string(word_of(activation)), width);
        const Context<Cpu> context(2, *kernels);
        auto x = random_matrix<S>(40, width, 5);
        const auto up = random_matrix<S>(40, width, 6);
        for (Index i = 0; i < x.size(); ++i) x.data()[i] *= static_cast<S>(i % 4);  // also zeros
        Matrix<S> y(40, width), gated(40, width);
        Matrix<double> expected(40, width), expected_gate(40, width);
        for (Index i = 0; i < x.size(); ++i) {
          expected.data()[i] = naive_activation(activation, x.data()[i]);
          expected_gate.data()[i] = expected.data()[i] * static_cast<double>(up.data()[i]);
        }
        activate<S>(context, activation, x, y);
        gate<S>(context, activation, x, up, gated);
        CHECK(largest_difference(y, expected) < tolerance<S>);
        CHECK(largest_difference(gated, expected_gate) < 4 * tolerance<S>);
      }
}

TEST_CASE("activations at the ends of the scale") {
  const Context<Cpu> context(1);
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::array<float, 5> numbers{-1e30f, -200.0f, 0.0f, 200.0f, 1e30f};
  for (const Activation activation : activations) {
    CAPTURE(std::string(word_of(activation)));
    Matrix<float> x(1, 6, nan), y(1, 6);
    std::copy(numbers.begin(), numbers.end(), x.data());
    activate<float>(context, activation, x, y);
    CHECK(std::abs(y(0, 1)) < 1e-30f);
    CHECK(y(0, 2) == 0);
    CHECK(y(0, 3) == 200);
    CHECK(y(0, 4) == 1e30f);
    CHECK(std::isnan(y(0, 5)));
  }
}

TEMPLATE_TEST_CASE("the soft cap is odd, bounded, and close to nothing for small numbers", "", float, double) {
  using S = TestType;
  auto x = random_matrix<S>(7, 33, 4), mirrored = x;
  for (Index i = 0; i < x.size(); ++i) {
    x.data()[i] *= static_cast<S>(i % 40);
    mirrored.data()[i] = -x.data()[i];
  }
  Matrix<double> expected(7, 33);
  for (Index i = 0; i < x.size(); ++i) expected.data()[i] = 5 * std::tanh(static_cast<double>(x.data()[i]) / 5);
  for (const auto* kernels : every_kernels()) {
    const Context<Cpu> context(2, *kernels);
    Matrix<S> y(x), z(mirrored);
    soft_cap<S>(context, 5, y);
    soft_cap<S>(context, 5, z);
    CHECK(largest_difference(y, expected) < tolerance<S>);
    for (Index i = 0; i < y.size(); ++i) REQUIRE(std::abs(y.data()[i] + z.data()[i]) < tolerance<S>);
    for (Index i = 0; i < y.size(); ++i) REQUIRE(std::abs(y.data()[i]) <= S(5));
  }
}

TEST_CASE("sums and biases are added") {
  const Context<Cpu> context(2);
  const auto a = random_matrix<float>(300, 70, 1), b = random_matrix<float>(300, 70, 2),
             bias = random_matrix<float>(1, 70, 3);
  Matrix<float> y(300, 70);
  add<float>(context, a, b, y);
  for (Index i = 0; i < y.size(); ++i) REQUIRE(y.data()[i] == a.data()[i] + b.data()[i]);
  add_bias<float>(context, bias.data(), y);
  for (Index i = 0; i < y.rows(); ++i)
    for (Index j = 0; j < y.cols(); ++j) REQUIRE(y(i, j) == (a(i, j) + b(i, j)) + bias(0, j));
}

TEMPLATE_TEST_CASE("summaries and divergence of logits equal the double loop", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels())
    for (const Index vocabulary : {1, 2, 17, 100, 1000}) {
      CAPTURE(kernels->isa, vocabulary);
      const Context<Cpu> context(2, *kernels);
      auto reference = random_matrix<S>(6, vocabulary, 1), x = random_matrix<S>(6, vocabulary, 2);
      for (Index i = 0; i < x.size(); ++i) {
        reference.data()[i] *= S(5);
        x.data()[i] = reference.data()[i] + S(0.3) * x.data()[i] + S(20);
      }
      std::vector<LogitSummary> first(6), second(6);
      std::vector<double> kl(6), nothing(6);
      summarize_logits<S>(context, reference, first.data());
      summarize_logits<S>(context, x, second.data());
      divergence<S>(context, reference, first.data(), x, second.data(), kl.data());
      divergence<S>(context, x, second.data(), x, second.data(), nothing.data());
      for (Index i = 0; i < 6; ++i) {
        double sum = 0, other = 0, expected = 0;
        Index largest = 0;
        for (Index j = 0; j < vocabulary; ++j) {
          sum += std::exp(static_cast<double>(reference(i, j)));
          other += std::exp(static_cast<double>(x(i, j)));
          if (reference(i, j) > reference(i, largest)) largest = j;
        }
        for (Index j = 0; j < vocabulary; ++j) {
          const double p = std::log(std::exp(static_cast<double>(reference(i, j))) / sum);
          expected += std::exp(p) * (p - (static_cast<double>(x(i, j)) - std::log(other)));
        }
        const auto row = static_cast<std::size_t>(i);
        CHECK(std::abs(first[row].log_sum - std::log(sum)) < tolerance<S>);
        CHECK(first[row].largest == largest);
        CHECK(std::abs(kl[row] - expected) < tolerance<S>);
        CHECK(nothing[row] == 0);
      }
    }
}

TEST_CASE("logits of targets are those of each token's own") {
  const auto x = random_matrix<float>(5, 7, 1);
  const std::int32_t targets[] = {6, 0, 3, 3, 1};
  float out[5];
  target_logits<float>(Context<Cpu>(2), x, targets, out);
  for (Index i = 0; i < 5; ++i) CHECK(out[i] == x(i, targets[i]));
}

TEST_CASE("of equal logits the first is the largest") {
  Matrix<float> x(1, 40, 3.0f);
  x(0, 0) = 1;
  LogitSummary summary;
  summarize_logits<float>(Context<Cpu>(1), x, &summary);
  CHECK(summary.largest == 1);
}

TEST_CASE("primitives give the same bytes for any number of threads") {
  const auto x = random_matrix<float>(3000, 96, 1), up = random_matrix<float>(3000, 96, 2),
             weight = random_matrix<float>(1, 96, 3);
  const auto run = [&](int threads) {
    const Context<Cpu> context(threads);
    Matrix<float> y(3000, 96);
    rms_norm<float>(context, x, weight.data(), 2, 1e-5, y);
    gate<float>(context, Activation::Silu, y, up, y);
    add<float>(context, y, x, y);
    return y;
  };
  CHECK(run(1) == run(2));
  CHECK(run(1) == run(5));
}

TEST_CASE("primitives refuse shapes that do not fit") {
  const Context<Cpu> context(1);
  Matrix<float> x(4, 12, 1.0f), narrow(4, 11, 1.0f);
  const auto refuses = [](const std::function<void()>& action, const char* words) {
    CHECK_THROWS_WITH(action(), Catch::Contains(words));
  };
  refuses([&] { rms_norm<float>(context, x, x.data(), 1, 1e-5, narrow); }, "rms_norm: got 4 x 12 and 4 x 11");
  refuses([&] { layer_norm<float>(context, x, x.data(), nullptr, 5, 1e-5, x); }, "wanted 5 equal parts");
  refuses([&] { gate<float>(context, Activation::Silu, x, narrow, x); }, "gate: got");
  refuses([&] { activate<float>(context, Activation::Relu, narrow, x); }, "activate: got");
  refuses([&] { add<float>(context, x, narrow, x); }, "add: got");
  const std::array<double, 4> frequencies{1, 1, 1, 1};
  const auto table = rotary_table<float>(frequencies, 4);
  refuses([&] { apply_rotary<float>(context, x, table, 2, 4, x); }, "4 pairs");
  refuses([&] { apply_rotary<float>(context, x, table, 1, 3, x); }, "whole windows of 3");
  refuses([&] { soft_cap<float>(context, 0, x); }, "wanted more than 0");
}
