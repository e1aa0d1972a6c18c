// Gradients of a transformer's primitives, against the CPU's.
#include <array>
#include <functional>
#include <limits>

#include "gradient_refusals.hpp"
#include "halftone/backend/cuda_nn_backward.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);
constexpr Activation activations[] = {Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GeluTanh};

/// Compares a gradient [rows, cols] with the CPU's: written over what is there, and added to it.
void check_gradient(const Context<Cuda>& context, Index rows, Index cols,
                    const std::function<void(Gradient<float>)>& here, const std::function<void(Gradient<float>)>& there,
                    double tolerance) {
  for (const bool add : {false, true}) {
    const Matrix<float> before(rows, cols, add ? 2.0f : std::numeric_limits<float>::quiet_NaN());
    Matrix<float> expected = before;
    auto found = on_device(context, before);
    here({expected, add});
    there({found, add});
    CAPTURE(rows, cols, add);
    CHECK(relative_difference(on_host(context, found), expected) <= tolerance);
    auto again = on_device(context, before);
    there({again, add});
    CHECK(on_host(context, again) == on_host(context, found));
  }
}

}  // namespace

TEST_CASE("gradients of norms are the CPU's") {
  HALFTONE_DEVICE_CASE(context);
  struct {
    Index rows, cols, groups;
  } const shapes[] = {{1, 1, 1}, {5, 96, 1}, {3, 300, 3}, {7, 33, 11}};
  for (const auto& s : shapes) {
    const auto x = random_matrix<float>(s.rows, s.cols, 1), dy = random_matrix<float>(s.rows, s.cols, 2);
    const auto weight = random_matrix<float>(1, s.cols, 3);
    const auto there_x = on_device(context, x), there_dy = on_device(context, dy);
    const auto there_weight = on_device(context, weight);
    for (const double epsilon : {1e-5, 0.1}) {
      if (s.cols / s.groups < 4 && epsilon < 0.1) continue;  // of so few numbers all but rounding may cancel
      check_gradient(
          context, s.rows, s.cols,
          [&](auto dx) { rms_norm_backward<float>(cpu, x, weight.data(), s.groups, epsilon, dy, dx); },
          [&](auto dx) {
            rms_norm_backward<float>(context, there_x, there_weight.data(), s.groups, epsilon, there_dy, dx);
          },
          1e-5);
      if (s.cols == 1) continue;
      check_gradient(
          context, s.rows, s.cols,
          [&](auto dx) { layer_norm_backward<float>(cpu, x, weight.data(), s.groups, epsilon, dy, dx); },
          [&](auto dx) {
            layer_norm_backward<float>(context, there_x, there_weight.data(), s.groups, epsilon, there_dy, dx);
          },
          1e-5);
    }
  }
}

TEST_CASE("a number that is its own mean has no gradient") {
  HALFTONE_DEVICE_CASE(context);
  const auto x = on_device(context, Matrix<float>(1, 1, 3.0f)), one = on_device(context, Matrix<float>(1, 1, 1.0f));
  auto dx = context.allocate<float>(1, 1);
  layer_norm_backward<float>(context, x, one.data(), 1, 1e-5, one, {dx});
  CHECK(on_host(context, dx)(0, 0) == 0.0f);
}

TEST_CASE("rotary gradients turn back as on the CPU, channels beyond the pairs pass") {
  HALFTONE_DEVICE_CASE(context);
  const Index heads = 3, length = 5;
  for (const Index head_dim : {2, 8, 10})
    for (const RotaryPairs layout : {RotaryPairs::Halves, RotaryPairs::Adjacent}) {
      const auto angles = random_matrix<double>(length + 1, head_dim / 2 - (head_dim == 10 ? 1 : 0), 4);
      const auto dy = random_matrix<float>(2 * length, heads * head_dim, 5);
      const auto table = rotary_table<float>(angles, layout);
      const auto there_table = upload(context, table);
      const auto there_dy = on_device(context, dy);
      check_gradient(
          context, dy.rows(), dy.cols(), [&](auto dx) { rotary_backward<float>(cpu, dy, table, heads, length, dx); },
          [&](auto dx) { rotary_backward<float>(context, there_dy, there_table, heads, length, dx); }, 1e-6);
    }
}

TEST_CASE("gradients of activations and gates are the CPU's, also at the ends of the scale") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index width : {1, 70}) {
    auto x = random_matrix<float>(9, width, 9, 3.0);
    const std::array<float, 6> ends{-1e30f, -200, -90, 90, 200, 1e30f};
    for (std::size_t i = 0; i < ends.size(); ++i) x(static_cast<Index>(i), 0) = ends[i];
    x(6, 0) = 0;
    // At the ends the gate is as large as they are: dy makes up for that.
    auto dy = random_matrix<float>(9, width, 11);
    dy(0, 0) = dy(5, 0) = 1e-30f;
    const auto up = random_matrix<float>(9, width, 10);
    const auto there_x = on_device(context, x), there_up = on_device(context, up), there_dy = on_device(context, dy);
    for (const Activation activation : activations) {
      CAPTURE(std::string(word_of(activation)));
      check_gradient(
          context, 9, width, [&](auto dx) { activate_backward<float>(cpu, activation, x, dy, dx); },
          [&](auto dx) { activate_backward<float>(context, activation, there_x, there_dy, dx); }, 5e-6);
      check_gradient(
          context, 9, width, [&](auto dx) { gate_backward<float>(cpu, activation, x, up, dy, dx, {}); },
          [&](auto dx) { gate_backward<float>(context, activation, there_x, there_up, there_dy, dx, {}); }, 5e-6);
      check_gradient(
          context, 9, width, [&](auto dup) { gate_backward<float>(cpu, activation, x, up, dy, {}, dup); },
          [&](auto dup) { gate_backward<float>(context, activation, there_x, there_up, there_dy, {}, dup); }, 5e-6);
    }
  }
  const auto nan = on_device(context, Matrix<float>(1, 1, std::numeric_limits<float>::quiet_NaN()));
  for (const Activation activation : {Activation::Silu, Activation::Gelu, Activation::GeluTanh}) {
    auto dx = context.allocate<float>(1, 1);
    activate_backward<float>(context, activation, nan, on_device(context, Matrix<float>(1, 1, 1.0f)), {dx});
    CHECK(std::isnan(on_host(context, dx)(0, 0)));
  }
}

TEST_CASE("both gradients of a gate at once, one of them over dy") {
  HALFTONE_DEVICE_CASE(context);
  const auto x = random_matrix<float>(9, 33, 1), up = random_matrix<float>(9, 33, 2),
             dy = random_matrix<float>(9, 33, 3);
  Matrix<float> dx(9, 33), dup(9, 33);
  gate_backward<float>(cpu, Activation::Silu, x, up, dy, {dx}, {dup});
  auto there_dx = context.allocate<float>(9, 33), there_dup = on_device(context, dy);
  gate_backward<float>(context, Activation::Silu, on_device(context, x), on_device(context, up), there_dup, {there_dx},
                       {there_dup});
  CHECK(relative_difference(on_host(context, there_dx), dx) <= 5e-6);
  CHECK(relative_difference(on_host(context, there_dup), dup) <= 5e-6);
}

TEST_CASE("sums hand their gradients on, into columns of a matrix too") {
  HALFTONE_DEVICE_CASE(context);
  const auto dy = random_matrix<float>(30, 7, 1);
  const auto there = on_device(context, dy);
  check_gradient(
      context, 30, 7, [&](auto dx) { add_backward<float>(cpu, dy, dx); },
      [&](auto dx) { add_backward<float>(context, there, dx); }, 0);
  Matrix<float> whole(30, 9, 5.0f);
  auto there_whole = on_device(context, whole);
  add_backward<float>(cpu, dy, {whole.view().middle_cols(1, 7)});
  add_backward<float>(context, there, {there_whole.view().middle_cols(1, 7)});
  CHECK(on_host(context, there_whole) == whole);
}

TEST_CASE("the squared error is the CPU's, weighted or not, in place, with masked tokens") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index width : {1, 7, 100}) {
    auto y = random_matrix<float>(9, width, 1), tokens = random_matrix<float>(1, 9, 4);
    const auto target = random_matrix<float>(9, width, 2), channels = random_matrix<float>(1, width, 3);
    tokens(0, 3) = 0;
    y(3, 0) = std::numeric_limits<float>::quiet_NaN();
    const auto there_target = on_device(context, target), there_channels = on_device(context, channels);
    const auto there_tokens = on_device(context, tokens);
    for (const bool weighted : {false, true}) {
      if (!weighted) y(3, 0) = 0.5f;
      const auto there_y = on_device(context, y);
      const ErrorWeights<float> here{weighted ? channels.data() : nullptr, weighted ? tokens.data() : nullptr},
          there{weighted ? there_channels.data() : nullptr, weighted ? there_tokens.data() : nullptr};
      Matrix<float> dy(9, width);
      auto there_dy = context.allocate<float>(9, width);
      const double loss = squared_error<float>(cpu, y, target, here, 0.25, dy);
      const double found = squared_error<float>(context, there_y, there_target, there, 0.25, there_dy);
      CHECK(found == Approx(loss).epsilon(1e-6));
      CHECK(relative_difference(on_host(context, there_dy), dy) <= 1e-6);
      CHECK(squared_error<float>(context, there_y, there_target, there, 0.25, {}) == found);
      auto in_place = context.copy(there_y.view());
      CHECK(squared_error<float>(context, in_place, there_target, there, 0.25, in_place) == found);
      CHECK(on_host(context, in_place) == on_host(context, there_dy));
      if (!weighted) y(3, 0) = std::numeric_limits<float>::quiet_NaN();
    }
  }
}

TEST_CASE("gradients on the device refuse shapes that do not fit, and do nothing where none is wanted") {
  HALFTONE_DEVICE_CASE(context);
  auto x = context.allocate<float>(4, 12), narrow = context.allocate<float>(4, 11);
  const std::array<double, 4> frequencies{1, 1, 1, 1};
  const auto table = upload(context, rotary_table<float>(frequencies, 4));
  check_refusals<Cuda>(context, x, narrow, table);
  CHECK_NOTHROW(rms_norm_backward<float>(context, x, x.data(), 1, 1e-5, x, {}));
  CHECK_NOTHROW(rotary_backward<float>(context, x, table, 1, 4, {}));
  CHECK_NOTHROW(activate_backward<float>(context, Activation::Relu, x, x, {}));
  CHECK_NOTHROW(add_backward<float>(context, x, {}));
}
