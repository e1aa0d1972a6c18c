// Primitives of a transformer, against the CPU's.
#include "halftone/backend/cuda_nn.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {
const Context<Cpu> cpu(1);
}

TEST_CASE("norms are the CPU's, in place too") {
  HALFTONE_DEVICE_CASE(context);
  struct {
    Index rows, cols, groups;
  } const shapes[] = {{1, 1, 1}, {5, 96, 1}, {3, 300, 3}, {7, 33, 11}};
  for (const auto& shape : shapes) {
    const auto x = random_matrix<float>(shape.rows, shape.cols, 1);
    const auto weight = random_matrix<float>(1, shape.cols, 2), bias = random_matrix<float>(1, shape.cols, 3);
    const auto there_weight = on_device(context, weight), there_bias = on_device(context, bias);
    const auto there_x = on_device(context, x);
    Matrix<float> y(shape.rows, shape.cols);
    auto there = context.copy(there_x.view());
    rms_norm<float>(cpu, x, weight.data(), shape.groups, 1e-5, y);
    rms_norm<float>(context, there, there_weight.data(), shape.groups, 1e-5, there);
    CHECK(relative_difference(on_host(context, there), y) <= 2e-6);
    for (const bool with_bias : {false, true}) {
      layer_norm<float>(cpu, x, weight.data(), with_bias ? bias.data() : nullptr, shape.groups, 1e-5, y);
      layer_norm<float>(context, there_x, there_weight.data(), with_bias ? there_bias.data() : nullptr, shape.groups,
                        1e-5, there);
      CHECK(relative_difference(on_host(context, there), y) <= 5e-6);
    }
  }
}

TEST_CASE("heads are rotated as on the CPU, channels beyond the pairs stay") {
  HALFTONE_DEVICE_CASE(context);
  const Index heads = 3, length = 5;
  for (const Index head_dim : {2, 8, 10})
    for (const RotaryPairs layout : {RotaryPairs::Halves, RotaryPairs::Adjacent}) {
      const auto angles = random_matrix<double>(length + 1, head_dim / 2 - (head_dim == 10 ? 1 : 0), 4);
      const auto x = random_matrix<float>(2 * length, heads * head_dim, 5);
      const auto table = rotary_table<float>(angles, layout);
      const auto there_table = upload(context, table);
      Matrix<float> y(x.rows(), x.cols());
      apply_rotary<float>(cpu, x, table, heads, length, y);
      const auto there_x = on_device(context, x);
      auto there = context.allocate<float>(x.rows(), x.cols());
      apply_rotary<float>(context, there_x, there_table, heads, length, there);
      CHECK(relative_difference(on_host(context, there), y) <= 1e-6);
      there = context.copy(there_x.view());
      apply_rotary<float>(context, there, there_table, heads, length, there);
      CHECK(relative_difference(on_host(context, there), y) <= 1e-6);
    }
}

TEST_CASE("attention is the CPU's: masks, windows, shared key heads, capped scores") {
  HALFTONE_DEVICE_CASE(context);
  struct {
    Index length, heads, kv_heads, head_dim, window;
    bool causal;
    double soft_cap;
  } const shapes[] = {{1, 1, 1, 1, 0, true, 0},    {7, 4, 2, 16, 0, true, 0},   {33, 2, 1, 64, 5, true, 0},
                      {18, 3, 3, 80, 0, false, 0}, {21, 2, 2, 40, 4, false, 0}, {30, 4, 4, 130, 9, true, 2}};
  for (const auto& s : shapes) {
    const AttentionShape shape{.length = s.length,
                               .heads = s.heads,
                               .kv_heads = s.kv_heads,
                               .scale = 0.7,
                               .soft_cap = s.soft_cap,
                               .causal = s.causal,
                               .window = s.window};
    const auto q = random_matrix<float>(2 * s.length, s.heads * s.head_dim, 6);
    const auto k = random_matrix<float>(2 * s.length, s.kv_heads * s.head_dim, 7);
    const auto v = random_matrix<float>(2 * s.length, s.kv_heads * s.head_dim, 8);
    Matrix<float> y(q.rows(), q.cols());
    attention<float>(cpu, q, k, v, shape, y);
    const auto there_q = on_device(context, q), there_k = on_device(context, k), there_v = on_device(context, v);
    auto there = context.allocate<float>(q.rows(), q.cols());
    attention<float>(context, there_q, there_k, there_v, shape, there);
    INFO(s.length << " tokens, " << s.head_dim << " channels, window " << s.window);
    CHECK(relative_difference(on_host(context, there), y) <= 2e-5);
  }
  const auto wide = context.allocate<float>(2, 300);
  auto out = context.allocate<float>(2, 300);
  CHECK(error_of([&] {
          attention<float>(context, wide, wide, wide, {.length = 2, .heads = 1, .kv_heads = 1}, out);
        }).find("unsupported: attention: heads have 300 channels") == 0);
}

TEST_CASE("activations, sums and caps are the CPU's") {
  HALFTONE_DEVICE_CASE(context);
  const auto x = random_matrix<float>(9, 70, 9, 3.0), up = random_matrix<float>(9, 70, 10);
  const auto there_x = on_device(context, x), there_up = on_device(context, up);
  Matrix<float> y(9, 70);
  auto there = context.allocate<float>(9, 70);
  for (const Activation activation : {Activation::Relu, Activation::Silu, Activation::Gelu, Activation::GeluTanh}) {
    gate<float>(cpu, activation, x, up, y);
    gate<float>(context, activation, there_x, there_up, there);
    CHECK(relative_difference(on_host(context, there), y) <= 2e-6);
    activate<float>(cpu, activation, x, y);
    activate<float>(context, activation, there_x, there);
    CHECK(relative_difference(on_host(context, there), y) <= 2e-6);
  }
  add<float>(cpu, x, up, y);
  add<float>(context, there_x, there_up, there);
  add_bias<float>(cpu, up.data(), y.view());
  add_bias<float>(context, there_up.data(), there.view());
  CHECK(on_host(context, there) == y);
  soft_cap<float>(cpu, 4.0, y.view());
  soft_cap<float>(context, 4.0, there.view());
  CHECK(relative_difference(on_host(context, there), y) <= 2e-6);
  CHECK(error_of([&] { soft_cap<float>(context, 0, there.view()); }).find("invalid_argument") == 0);
}
