#include <limits>

#include "halftone/backend/nn.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

template <class S>
constexpr double tolerance = sizeof(S) == sizeof(float) ? 5e-6 : 1e-13;

/// q, k, v as they stand side by side in a slot, as the executor hands them over.
template <class S>
struct Inputs {
  Matrix<S> all;
  Index q_width, kv_width;

  Inputs(Index tokens, Index head_dim, const AttentionShape& shape, std::uint64_t seed)
      : all(random_matrix<S>(tokens, (shape.heads + 2 * shape.kv_heads) * head_dim, seed)),
        q_width(shape.heads * head_dim),
        kv_width(shape.kv_heads * head_dim) {}
  MatrixView<const S> q() const { return all.view().middle_cols(0, q_width); }
  MatrixView<const S> k() const { return all.view().middle_cols(q_width, kv_width); }
  MatrixView<const S> v() const { return all.view().middle_cols(q_width + kv_width, kv_width); }
  Matrix<S> attend(const Context<Cpu>& context, const AttentionShape& shape) const {
    Matrix<S> y(all.rows(), q_width);
    attention<S>(context, q(), k(), v(), shape, y);
    return y;
  }
};

bool visible(const AttentionShape& shape, Index query, Index key) {
  const bool near = shape.window == 0 || std::abs(query - key) < shape.window;
  return near && (!shape.causal || key <= query);
}

template <class S>
Matrix<double> naive_attention(const Inputs<S>& in, Index head_dim, const AttentionShape& shape) {
  Matrix<double> y(in.all.rows(), in.q_width, 0.0);
  for (Index t = 0; t < y.rows(); ++t)
    for (Index h = 0; h < shape.heads; ++h) {
      const Index start = t / shape.length * shape.length, kv = h / (shape.heads / shape.kv_heads);
      double sum = 0;
      std::vector<double> p(static_cast<std::size_t>(shape.length), 0.0);
      for (Index j = 0; j < shape.length; ++j) {
        if (!visible(shape, t - start, j)) continue;
        double score = 0;
        for (Index c = 0; c < head_dim; ++c)
          score += static_cast<double>(in.q()(t, h * head_dim + c)) *
                   static_cast<double>(in.k()(start + j, kv * head_dim + c));
        score *= shape.scale;
        if (shape.soft_cap > 0) score = shape.soft_cap * std::tanh(score / shape.soft_cap);
        sum += p[static_cast<std::size_t>(j)] = std::exp(score);
      }
      for (Index j = 0; j < shape.length; ++j)
        for (Index c = 0; c < head_dim; ++c)
          y(t, h * head_dim + c) +=
              p[static_cast<std::size_t>(j)] / sum * static_cast<double>(in.v()(start + j, kv * head_dim + c));
    }
  return y;
}

struct Case {
  Index length, heads, kv_heads, head_dim, window;
  bool causal;
  double soft_cap;
};

}  // namespace

TEMPLATE_TEST_CASE("attention equals the double loop", "", float, double) {
  using S = TestType;
  const Case cases[] = {{1, 1, 1, 1, 0, true, 0},    {1, 4, 1, 16, 0, true, 0},  {24, 4, 2, 12, 7, true, 0},
                        {31, 2, 1, 5, 0, true, 0},   {32, 2, 2, 33, 1, true, 0}, {33, 3, 1, 16, 32, true, 2},
                        {70, 4, 4, 80, 0, true, 0},  {70, 2, 1, 8, 40, true, 0}, {97, 2, 2, 64, 33, true, 0},
                        {45, 2, 2, 12, 0, false, 0}, {45, 2, 1, 12, 9, false, 3}};
  for (const auto* kernels : every_kernels())
    for (const Case& c : cases) {
      CAPTURE(kernels->isa, c.length, c.heads, c.kv_heads, c.head_dim, c.window, c.causal, c.soft_cap);
      const AttentionShape shape{.length = c.length,
                                 .heads = c.heads,
                                 .kv_heads = c.kv_heads,
                                 .scale = 1 / std::sqrt(static_cast<double>(c.head_dim)),
                                 .soft_cap = c.soft_cap,
                                 .causal = c.causal,
                                 .window = c.window};
      const Inputs<S> in(2 * c.length, c.head_dim, shape, 7);
      const auto y = in.attend(Context<Cpu>(2, *kernels), shape);
      CHECK(largest_difference(y, naive_attention(in, c.head_dim, shape)) < tolerance<S>);
    }
}

TEST_CASE("a window of one token returns that token's value, a long one is none") {
  const Context<Cpu> context(2);
  AttentionShape shape{.length = 50, .heads = 4, .kv_heads = 2, .scale = 0.3, .window = 1};
  const Inputs<float> in(100, 8, shape, 3);
  const auto alone = in.attend(context, shape);
  for (Index t = 0; t < 100; ++t)
    for (Index j = 0; j < 32; ++j) REQUIRE(alone(t, j) == in.v()(t, j / 16 * 8 + j % 8));
  shape.window = 50;
  const auto wide = in.attend(context, shape);
  shape.window = 0;
  CHECK(wide == in.attend(context, shape));
}

TEST_CASE("equal keys give the mean of the values seen") {
  const AttentionShape shape{.length = 40, .heads = 1, .kv_heads = 1, .scale = 1};
  Inputs<double> in(40, 6, shape, 5);
  for (Index t = 0; t < 40; ++t)
    for (Index c = 0; c < 6; ++c) in.all(t, 6 + c) = 1;
  const auto y = in.attend(Context<Cpu>(1), shape);
  for (Index c = 0; c < 6; ++c) {
    double sum = 0;
    for (Index t = 0; t < 40; ++t) {
      sum += in.v()(t, c);
      CHECK(std::abs(y(t, c) - sum / static_cast<double>(t + 1)) < 1e-14);
    }
  }
}

TEST_CASE("what comes later and what other windows hold changes nothing") {
  const Context<Cpu> context(2);
  const AttentionShape shape{.length = 48, .heads = 2, .kv_heads = 1, .scale = 0.2};
  Inputs<float> in(96, 20, shape, 9);
  const auto before = in.attend(context, shape);
  Random random(1);
  for (Index t = 41; t < 96; ++t)
    for (Index j = 0; j < in.all.cols(); ++j) in.all(t, j) = static_cast<float>(random.normal());
  const auto after = in.attend(context, shape);
  for (Index t = 0; t < 41; ++t)
    for (Index j = 0; j < 40; ++j) REQUIRE(after(t, j) == before(t, j));
  CHECK(after(41, 0) != before(41, 0));
}

TEST_CASE("scores far apart pick the best key and do not overflow") {
  const AttentionShape shape{.length = 20, .heads = 1, .kv_heads = 1, .scale = 1e6};
  const Inputs<float> in(20, 16, shape, 4);
  const auto y = in.attend(Context<Cpu>(1), shape);
  for (Index t = 0; t < 20; ++t) {
    const auto score = [&](Index key) {
      double sum = 0;
      for (Index c = 0; c < 16; ++c) sum += static_cast<double>(in.q()(t, c)) * static_cast<double>(in.k()(key, c));
      return sum;
    };
    Index best = 0;
    for (Index key = 1; key <= t; ++key) best = score(key) > score(best) ? key : best;
    for (Index c = 0; c < 16; ++c) CHECK(y(t, c) == in.v()(best, c));
  }
}

TEST_CASE("attention gives the same bytes for any number of threads") {
  const AttentionShape shape{.length = 40, .heads = 4, .kv_heads = 2, .scale = 0.25};
  const Inputs<float> in(280, 16, shape, 2);
  const auto one = in.attend(Context<Cpu>(1), shape);
  CHECK(one == in.attend(Context<Cpu>(2), shape));
  CHECK(one == in.attend(Context<Cpu>(7), shape));
}

TEST_CASE("attention refuses shapes that do not fit") {
  const Context<Cpu> context(1);
  const Matrix<float> q(6, 12, 1.0f), k(6, 6, 1.0f), short_k(5, 6, 1.0f);
  Matrix<float> y(6, 12);
  const auto refuses = [&](const Matrix<float>& keys, AttentionShape shape, const char* words) {
    CHECK_THROWS_WITH(attention<float>(context, q, keys, keys, shape, y), Catch::Contains(words));
  };
  refuses(k, {.length = 4, .heads = 2, .kv_heads = 1}, "whole windows of 4");
  refuses(k, {.length = 3, .heads = 5, .kv_heads = 1}, "wanted 5 equal parts");
  refuses(k, {.length = 3, .heads = 2, .kv_heads = 2}, "wanted 6 x 2 heads of 6");
  refuses(short_k, {.length = 3, .heads = 2, .kv_heads = 1}, "keys are 5 x 6");
}
