#include <limits>

#include "attention_case.hpp"
#include "finite_differences.hpp"
#include "halftone/backend/nn_backward.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// q, k, v, or their gradients, side by side as in a slot.
template <class S>
struct Triple {
  Matrix<S> all;
  Index q_width, kv_width;

  Triple(Index tokens, Index head_dim, const AttentionShape& shape, S value)
      : all(tokens, (shape.heads + 2 * shape.kv_heads) * head_dim, value),
        q_width(shape.heads * head_dim),
        kv_width(shape.kv_heads * head_dim) {}
  Triple(Index tokens, Index head_dim, const AttentionShape& shape, std::uint64_t seed)
      : Triple(tokens, head_dim, shape, S(0)) {
    all = random_matrix<S>(all.rows(), all.cols(), seed);
  }
  MatrixView<S> q() { return all.view().middle_cols(0, q_width); }
  MatrixView<S> k() { return all.view().middle_cols(q_width, kv_width); }
  MatrixView<S> v() { return all.view().middle_cols(q_width + kv_width, kv_width); }
  void forward(const Context<Cpu>& context, const AttentionShape& shape, MatrixView<S> y) {
    attention<S>(context, q(), k(), v(), shape, y);
  }
  Triple gradient(const Context<Cpu>& context, const AttentionShape& shape, MatrixView<const S> dy) {
    Triple d = *this;
    d.all.fill(std::numeric_limits<S>::quiet_NaN());
    attention_backward<S>(context, q(), k(), v(), shape, dy, {d.q()}, {d.k()}, {d.v()});
    return d;
  }
};

using Case = AttentionCase;

constexpr Case cases[] = {{1, 1, 1, 1, 0, true, 0},   {1, 4, 1, 16, 0, true, 0},   {24, 4, 2, 12, 7, true, 0},
                          {31, 2, 1, 5, 0, true, 0},  {32, 2, 2, 33, 1, true, 0},  {33, 3, 1, 16, 32, true, 2},
                          {70, 2, 1, 8, 40, true, 0}, {97, 1, 1, 20, 33, true, 0}, {45, 2, 2, 12, 0, false, 0},
                          {45, 2, 1, 12, 9, false, 3}};

}  // namespace

TEST_CASE("gradients of attention are those of differences") {
  for (const Case& c : cases) {
    CAPTURE(c.length, c.heads, c.kv_heads, c.head_dim, c.window, c.causal, c.soft_cap);
    const Context<Cpu> context(2);
    Triple<double> in(2 * c.length, c.head_dim, c.shape(), std::uint64_t{7});
    const auto dy = random_matrix<double>(2 * c.length, in.q_width, 8);
    Matrix<double> y(2 * c.length, in.q_width);
    const auto d = in.gradient(context, c.shape(), dy);
    CHECK(gradient_error(
              in.all, d.all,
              [&] {
                in.forward(context, c.shape(), y);
                return product_sum(y, dy);
              },
              1 + in.all.size() / 500) < 1e-8);
  }
}

TEST_CASE("every instruction set and float agree on attention's gradients") {
  const auto exact = detail::runnable_kernels().front();
  for (const Case& c : cases) {
    CAPTURE(c.length, c.heads, c.kv_heads, c.head_dim, c.window, c.causal, c.soft_cap);
    Triple<double> in(2 * c.length, c.head_dim, c.shape(), std::uint64_t{7});
    Triple<float> single(2 * c.length, c.head_dim, c.shape(), std::uint64_t{7});
    const auto dy = random_matrix<double>(2 * c.length, in.q_width, 8);
    const auto single_dy = random_matrix<float>(2 * c.length, in.q_width, 8);
    const auto expected = in.gradient(Context<Cpu>(1, *exact), c.shape(), dy);
    for (const auto* kernels : every_kernels()) {
      CAPTURE(kernels->isa);
      const Context<Cpu> context(2, *kernels);
      CHECK(largest_difference(in.gradient(context, c.shape(), dy).all, expected.all) < 1e-13);
      CHECK(largest_difference(single.gradient(context, c.shape(), single_dy).all, expected.all) < 2e-5);
    }
  }
}

TEST_CASE("attention's gradients are added, and only those that are wanted") {
  const Case c{40, 4, 2, 12, 9, true, 0};
  const Context<Cpu> context(2);
  Triple<float> in(80, 12, c.shape(), std::uint64_t{1});
  const auto dy = random_matrix<float>(80, 48, 2);
  const auto all = in.gradient(context, c.shape(), dy);
  Triple<float> sum(80, 12, c.shape(), 3.0f);
  attention_backward<float>(context, in.q(), in.k(), in.v(), c.shape(), dy, {sum.q(), true}, {sum.k(), true},
                            {sum.v(), true});
  for (Index i = 0; i < sum.all.size(); ++i) REQUIRE(sum.all.data()[i] == 3.0f + all.all.data()[i]);
  Triple<float> parts(80, 12, c.shape(), 0.0f);
  attention_backward<float>(context, in.q(), in.k(), in.v(), c.shape(), dy, {}, {}, {parts.v()});
  attention_backward<float>(context, in.q(), in.k(), in.v(), c.shape(), dy, {parts.q()}, {}, {});
  attention_backward<float>(context, in.q(), in.k(), in.v(), c.shape(), dy, {}, {parts.k()}, {});
  CHECK(parts.all == all.all);
}

TEST_CASE("attention's gradients: the same bytes for any number of threads, windows and padding") {
  const Case c{45, 6, 3, 20, 0, true, 0};
  Triple<float> in(90, 20, c.shape(), std::uint64_t{4});
  const auto dy = random_matrix<float>(90, 120, 5);
  const auto one = in.gradient(Context<Cpu>(1), c.shape(), dy).all;
  CHECK(one == in.gradient(Context<Cpu>(2), c.shape(), dy).all);
  CHECK(one == in.gradient(Context<Cpu>(5), c.shape(), dy).all);
  Triple<float> second(45, 20, c.shape(), std::uint64_t{0});
  second.all = Matrix<float>(in.all.view().middle_rows(45, 45));
  const auto alone = second.gradient(Context<Cpu>(1), c.shape(), dy.view().middle_rows(45, 45)).all;
  CHECK(alone == Matrix<float>(one.view().middle_rows(45, 45)));
}

TEST_CASE("what a shift of all keys cannot change has no gradient") {
  // softmax does not see a constant added to all scores of a query: Σ_j dK_j = 0 along a q that all queries share.
  const Case c{50, 1, 1, 8, 0, true, 0};
  Triple<double> in(50, 8, c.shape(), std::uint64_t{4});
  for (Index t = 0; t < 50; ++t)
    for (Index j = 0; j < 8; ++j) in.q()(t, j) = 1 + static_cast<double>(j);
  auto d = in.gradient(Context<Cpu>(1), c.shape(), random_matrix<double>(50, 8, 5));
  double largest = 0;
  for (Index j = 0; j < 8; ++j) {
    double sum = 0;
    for (Index t = 0; t < 50; ++t) {
      sum += d.k()(t, j);
      largest = std::max(largest, std::abs(d.k()(t, j)));
    }
    CHECK(std::abs(sum) < 1e-13);
  }
  CHECK(largest > 0.01);
}

TEST_CASE("a window of one token passes gradients to that token's value alone") {
  const Case c{20, 2, 1, 8, 1, true, 0};
  Triple<double> in(20, 8, c.shape(), std::uint64_t{4});
  const auto dy = random_matrix<double>(20, 16, 5);
  auto d = in.gradient(Context<Cpu>(1), c.shape(), dy);
  for (Index t = 0; t < 20; ++t) {
    for (Index j = 0; j < 16; ++j) CHECK(std::abs(d.q()(t, j)) < 1e-15);
    for (Index j = 0; j < 8; ++j) {
      CHECK(std::abs(d.k()(t, j)) < 1e-15);
      CHECK(std::abs(d.v()(t, j) - (dy(t, j) + dy(t, 8 + j))) < 1e-14);
    }
  }
}

TEST_CASE("attention's gradients refuse shapes that do not fit") {
  const Context<Cpu> context(1);
  const AttentionShape shape{.length = 8, .heads = 4, .kv_heads = 2, .scale = 1};
  Matrix<float> q(16, 32, 0.0f), k(16, 16, 0.0f), wrong(16, 17, 0.0f), dq(q), dk(k), dv(k);
  const auto refuses = [&](MatrixView<const float> values, MatrixView<const float> dy, MatrixView<float> gradient) {
    CHECK_THROWS_WITH(attention_backward<float>(context, q, k, values, shape, dy, {gradient}, {dk}, {dv}),
                      Catch::Contains("attention_backward: got"));
  };
  refuses(wrong, q, dq);
  refuses(k, wrong, dq);
  refuses(k, q, wrong);
}
