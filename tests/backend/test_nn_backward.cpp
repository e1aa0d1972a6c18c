#include <array>
#include <functional>
#include <limits>

#include "finite_differences.hpp"
#include "gradient_refusals.hpp"
#include "halftone/backend/nn_backward.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

constexpr double accuracy = 1e-8;  // of differences of functions whose third derivatives are about 1
constexpr Index widths[] = {1, 7, 16, 33, 100};
constexpr Activation activations[] = {Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GeluTanh};

/// A function of one matrix and its gradient, for any S.
template <class S>
struct Case {
  std::function<void(const Context<Cpu>&, MatrixView<const S> x, MatrixView<S> y)> forward;
  std::function<void(const Context<Cpu>&, MatrixView<const S> x, MatrixView<const S> dy, Gradient<S> dx)> backward;
};

template <class S>
Matrix<S> converted(const Matrix<double>& x) {
  Matrix<S> y(x.rows(), x.cols());
  for (Index i = 0; i < x.size(); ++i) y.data()[i] = static_cast<S>(x.data()[i]);
  return y;
}

/// Checks that the double gradient agrees with differences, that the float one agrees with it, and that what is there
/// is written over or added to.
void check_gradient(const detail::CpuKernels& kernels, Matrix<double> x, const Case<double>& exact,
                    const Case<float>& fast, double float_tolerance = 1e-5) {
  const Context<Cpu> context(2, kernels);
  const auto dy = random_matrix<double>(x.rows(), x.cols(), 11);
  Matrix<double> y(x.rows(), x.cols()), dx(x.rows(), x.cols(), std::numeric_limits<double>::quiet_NaN());
  exact.backward(context, x, dy, {dx});
  CHECK(gradient_error(x, dx, [&] {
          exact.forward(context, x, y);
          return product_sum(y, dy);
        }) < accuracy);

  Matrix<double> sum(x.rows(), x.cols(), 2.0);
  exact.backward(context, x, dy, {sum, true});
  for (Index i = 0; i < sum.size(); ++i) REQUIRE(sum.data()[i] == 2.0 + dx.data()[i]);

  const auto single = converted<float>(x), single_dy = converted<float>(dy);
  Matrix<float> single_dx(x.rows(), x.cols());
  fast.backward(context, single, single_dy, {single_dx});
  double largest = 1;
  for (Index i = 0; i < dx.size(); ++i) largest = std::max(largest, std::abs(dx.data()[i]));
  CHECK(largest_difference(single_dx, dx) < float_tolerance * largest);
  exact.backward(context, x, dy, {});  // not wanted: nothing happens
}

}  // namespace

TEST_CASE("gradients of norms are those of differences") {
  for (const auto* kernels : every_kernels())
    for (const Index width : widths)
      for (const Index groups : {1, 3})
        for (const bool layer : {false, true}) {
          CAPTURE(kernels->isa, width, groups, layer);
          const auto norm = [&](auto number) {
            using S = decltype(number);
            const auto weight = converted<S>(random_matrix<double>(1, width, 2));
            return Case<S>{
                [=](const Context<Cpu>& context, MatrixView<const S> x, MatrixView<S> y) {
                  layer ? layer_norm<S>(context, x, weight.data(), nullptr, groups, 0.1, y)
                        : rms_norm<S>(context, x, weight.data(), groups, 0.1, y);
                },
                [=](const Context<Cpu>& context, MatrixView<const S> x, MatrixView<const S> dy, Gradient<S> dx) {
                  layer ? layer_norm_backward<S>(context, x, weight.data(), groups, 0.1, dy, dx)
                        : rms_norm_backward<S>(context, x, weight.data(), groups, 0.1, dy, dx);
                }};
          };
          check_gradient(*kernels, random_matrix<double>(3, width * groups, 1), norm(double{}), norm(float{}));
        }
}

TEST_CASE("gradients of norms are orthogonal to what the norms ignore") {
  const Context<Cpu> context(1);
  const auto x = random_matrix<double>(6, 37, 1), weight = random_matrix<double>(1, 37, 2),
             dy = random_matrix<double>(6, 37, 3);
  Matrix<double> rms(6, 37), layer(6, 37);
  rms_norm_backward<double>(context, x, weight.data(), 1, 0, dy, {rms});
  layer_norm_backward<double>(context, x, weight.data(), 1, 0, dy, {layer});
  for (Index t = 0; t < 6; ++t) {
    double scaled = 0, shifted = 0, both = 0;
    for (Index j = 0; j < 37; ++j) {
      scaled += rms(t, j) * x(t, j);
      shifted += layer(t, j);
      both += layer(t, j) * x(t, j);
    }
    CHECK(std::abs(scaled) < 1e-13);
    CHECK(std::abs(shifted) < 1e-13);
    CHECK(std::abs(both) < 1e-13);
  }
}

TEST_CASE("rotary gradients turn back") {
  constexpr Index length = 9, heads = 3, head_dim = 14, pairs = 5;  // four channels of a head stay
  const std::array<double, pairs> frequencies{1, 0.5, 0.1, 0.01, 1e-5};
  const auto rotary = [&](auto number, RotaryPairs layout) {
    using S = decltype(number);
    auto table = rotary_table<S>(frequencies, length + 2);
    table.layout = layout;
    return Case<S>{[=](const Context<Cpu>& context, MatrixView<const S> x, MatrixView<S> y) {
                     apply_rotary<S>(context, x, table, heads, length, y);
                   },
                   [=](const Context<Cpu>& context, MatrixView<const S>, MatrixView<const S> dy, Gradient<S> dx) {
                     rotary_backward<S>(context, dy, table, heads, length, dx);
                   }};
  };
  for (const auto* kernels : every_kernels())
    for (const RotaryPairs layout : {RotaryPairs::Halves, RotaryPairs::Adjacent}) {
      CAPTURE(kernels->isa, layout == RotaryPairs::Adjacent);
      const auto exact = rotary(double{}, layout);
      check_gradient(*kernels, random_matrix<double>(2 * length, heads * head_dim, 1), exact, rotary(float{}, layout));
      const Context<Cpu> context(2, *kernels);
      const auto x = random_matrix<double>(2 * length, heads * head_dim, 4);
      Matrix<double> there(2 * length, heads * head_dim), back(2 * length, heads * head_dim);
      exact.forward(context, x, there);
      exact.backward(context, x, there, {back});
      CHECK(largest_difference(back, x) < 1e-14);
    }
}

TEST_CASE("gradients of activations and gates are those of differences") {
  for (const auto* kernels : every_kernels())
    for (const Activation activation : activations)
      for (const Index width : widths) {
        CAPTURE(kernels->isa, std::string(word_of(activation)), width);
        auto x = random_matrix<double>(8, width, 5);
        for (Index i = 0; i < x.size(); ++i) x.data()[i] = 3 * x.data()[i] + 1e-3;  // off the corner of Relu
        const auto alone = [&](auto number) {
          using S = decltype(number);
          return Case<S>{[=](const Context<Cpu>& context, MatrixView<const S> in, MatrixView<S> y) {
                           activate<S>(context, activation, in, y);
                         },
                         [=](const Context<Cpu>& context, MatrixView<const S> in, MatrixView<const S> dy,
                             Gradient<S> dx) { activate_backward<S>(context, activation, in, dy, dx); }};
        };
        check_gradient(*kernels, x, alone(double{}), alone(float{}));
        const auto gated = [&](auto number, bool by_up) {
          using S = decltype(number);
          const auto other = converted<S>(random_matrix<double>(8, width, 6));
          return Case<S>{
              [=](const Context<Cpu>& context, MatrixView<const S> in, MatrixView<S> y) {
                by_up ? gate<S>(context, activation, other, in, y) : gate<S>(context, activation, in, other, y);
              },
              [=](const Context<Cpu>& context, MatrixView<const S> in, MatrixView<const S> dy, Gradient<S> dx) {
                by_up ? gate_backward<S>(context, activation, other, in, dy, {}, dx)
                      : gate_backward<S>(context, activation, in, other, dy, dx, {});
              }};
        };
        check_gradient(*kernels, x, gated(double{}, false), gated(float{}, false));
        check_gradient(*kernels, x, gated(double{}, true), gated(float{}, true));
      }
}

TEMPLATE_TEST_CASE("slopes of activations at the ends of the scale", "", float, double) {
  using S = TestType;
  const Context<Cpu> context(1);
  constexpr S nan = std::numeric_limits<S>::quiet_NaN();
  const Matrix<S> dy(1, 7, S(1));
  for (const Activation activation : activations) {
    CAPTURE(std::string(word_of(activation)));
    Matrix<S> x(1, 7, nan), dx(1, 7);
    const std::array<S, 6> numbers{S(-1e30), S(-200), S(-90), S(90), S(200), S(1e30)};
    std::copy(numbers.begin(), numbers.end(), x.data());
    activate_backward<S>(context, activation, x, dy, {dx});
    for (Index j = 0; j < 3; ++j) CHECK(std::abs(dx(0, j)) < S(1e-30));
    for (Index j = 3; j < 6; ++j) CHECK(dx(0, j) == 1);
    if (activation != Activation::Relu) CHECK(std::isnan(dx(0, 6)));
  }
}

TEST_CASE("a sum hands its gradient on") {
  const Context<Cpu> context(2);
  const auto dy = random_matrix<float>(300, 70, 1), before = random_matrix<float>(300, 70, 2);
  Matrix<float> copied(300, 70), added(before);
  add_backward<float>(context, dy, {copied});
  add_backward<float>(context, dy, {added, true});
  CHECK(copied == dy);
  for (Index i = 0; i < added.size(); ++i) REQUIRE(added.data()[i] == before.data()[i] + dy.data()[i]);
}

TEMPLATE_TEST_CASE("the squared error and its gradient equal the double loop", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels())
    for (const Index width : widths) {
      CAPTURE(kernels->isa, width);
      const Context<Cpu> context(2, *kernels);
      const auto y = random_matrix<S>(9, width, 1), target = random_matrix<S>(9, width, 2);
      auto channels = random_matrix<S>(1, width, 3), tokens = random_matrix<S>(1, 9, 4);
      tokens(0, 3) = 0;
      for (const bool weighted : {false, true}) {
        const ErrorWeights<S> weights{weighted ? channels.data() : nullptr, weighted ? tokens.data() : nullptr};
        Matrix<S> dy(9, width);
        const double loss = squared_error<S>(context, y, target, weights, 0.25, dy);
        double expected = 0;
        for (Index t = 0; t < 9; ++t)
          for (Index j = 0; j < width; ++j) {
            const double error = static_cast<double>(y(t, j)) - static_cast<double>(target(t, j));
            const double weight =
                weighted ? 0.25 * static_cast<double>(channels(0, j)) * static_cast<double>(tokens(0, t)) : 0.25;
            expected += weight * error * error;
            CHECK(std::abs(static_cast<double>(dy(t, j)) - 2 * weight * error) < (sizeof(S) == 4 ? 1e-5 : 1e-14));
          }
        CHECK(std::abs(loss - expected) < (sizeof(S) == 4 ? 1e-5 : 1e-14) * static_cast<double>(9 * width));
        CHECK(squared_error<S>(context, y, target, weights, 0.25, {}) == loss);
        Matrix<S> in_place(y);
        CHECK(squared_error<S>(context, in_place, target, weights, 0.25, in_place) == loss);
        CHECK(in_place == dy);
      }
    }
}

TEST_CASE("masked tokens are not looked at") {
  const Context<Cpu> context(1);
  auto y = random_matrix<float>(3, 20, 1);
  const auto target = random_matrix<float>(3, 20, 2);
  y(1, 4) = std::numeric_limits<float>::quiet_NaN();
  const std::array<float, 3> mask{1, 0, 1};
  Matrix<float> dy(3, 20);
  const double loss = squared_error<float>(context, y, target, {nullptr, mask.data()}, 1, dy);
  CHECK(loss > 0);
  for (Index j = 0; j < 20; ++j) CHECK(dy(1, j) == 0);
  CHECK(squared_error<float>(context, target, target, {}, 1, dy) == 0);
}

TEST_CASE("gradients give the same bytes for any number of threads") {
  const auto x = random_matrix<float>(3000, 96, 1), up = random_matrix<float>(3000, 96, 2),
             weight = random_matrix<float>(1, 96, 3);
  const auto run = [&](int threads) {
    const Context<Cpu> context(threads);
    Matrix<float> y(3000, 97), dx = y;
    const auto dy = y.view().middle_cols(0, 96), out = dx.view().middle_cols(1, 96);
    dx.fill(0);
    y.fill(0);
    y(2999, 96) = static_cast<float>(squared_error<float>(context, x, up, {}, 1, dy));
    rms_norm_backward<float>(context, x, weight.data(), 2, 1e-5, dy, {out});
    layer_norm_backward<float>(context, x, weight.data(), 2, 1e-5, dy, {out, true});
    gate_backward<float>(context, Activation::Silu, x, up, out, {dy, true}, {});
    std::copy_n(y.data(), y.size(), dx.data());
    return dx;
  };
  CHECK(run(1) == run(2));
  CHECK(run(1) == run(5));
}

TEST_CASE("gradients refuse shapes that do not fit") {
  const Context<Cpu> context(1);
  Matrix<float> x(4, 12, 1.0f), narrow(4, 11, 1.0f);
  const std::array<double, 4> frequencies{1, 1, 1, 1};
  check_refusals<Cpu>(context, x, narrow, rotary_table<float>(frequencies, 4));
}
