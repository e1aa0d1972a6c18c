// Gradients of attention, against the CPU's.
#include <limits>

#include "attention_case.hpp"
#include "halftone/backend/cuda_nn_backward.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

using Case = AttentionCase;

/// q, k, v, or their gradients, side by side as in a slot.
struct Triple {
  MatrixView<float> q, k, v;
  Triple(const Case& c, MatrixView<float> all)
      : q(all.middle_cols(0, c.q_width())),
        k(all.middle_cols(c.q_width(), c.kv_width())),
        v(all.middle_cols(c.q_width() + c.kv_width(), c.kv_width())) {}
};
struct Wanted {
  bool q = true, k = true, v = true, add = false;
};

/// Gradients of everything, over `before`.
template <class Backend>
Matrix<float> gradients(const Context<Backend>& context, const Case& c, const Matrix<float>& all,
                        const Matrix<float>& dy, const Matrix<float>& before, const Wanted& wanted = {}) {
  auto there = context.upload(all.view()), found = context.upload(before.view());
  const auto there_dy = context.upload(dy.view());
  const Triple in(c, there.view()), d(c, found.view());
  const auto to = [&](bool is_wanted, MatrixView<float> view) {
    return is_wanted ? Gradient<float>{view, wanted.add} : Gradient<float>{};
  };
  attention_backward<float>(context, in.q, in.k, in.v, c.shape(), there_dy, to(wanted.q, d.q), to(wanted.k, d.k),
                            to(wanted.v, d.v));
  return context.download(std::as_const(found).view());
}

constexpr Case cases[] = {{1, 1, 1, 1, 0, true, 0},    {1, 4, 1, 16, 0, true, 0},   {24, 4, 2, 12, 7, true, 0},
                          {31, 2, 1, 5, 0, true, 0},   {32, 2, 2, 33, 1, true, 0},  {33, 3, 1, 16, 32, true, 2},
                          {70, 2, 1, 8, 40, true, 0},  {45, 2, 2, 12, 0, false, 0}, {45, 2, 1, 12, 9, false, 3},
                          {18, 6, 2, 80, 0, false, 0}, {13, 2, 1, 128, 0, true, 0}, {11, 2, 2, 256, 5, true, 0}};

}  // namespace

TEST_CASE("gradients of attention are the CPU's, in the same bytes twice") {
  HALFTONE_DEVICE_CASE(context);
  double worst = 0;
  for (const Case& c : cases) {
    CAPTURE(c.length, c.heads, c.kv_heads, c.head_dim, c.window, c.causal, c.soft_cap);
    const auto all = random_matrix<float>(2 * c.length, c.width(), 7),
               dy = random_matrix<float>(2 * c.length, c.q_width(), 8);
    const Matrix<float> before(2 * c.length, c.width(), std::numeric_limits<float>::quiet_NaN());
    const auto expected = gradients(cpu, c, all, dy, before), found = gradients(context, c, all, dy, before);
    worst = std::max(worst, relative_difference(found, expected));
    CHECK(relative_difference(found, expected) < 5e-6);
    CHECK(gradients(context, c, all, dy, before) == found);
  }
  std::printf("attention: gradients differ by at most %.1e of the largest\n", worst);
}

TEST_CASE("where all dP of a row share a large part, what they do not share is left") {
  HALFTONE_DEVICE_CASE(context);
  const Case c{30, 2, 1, 16, 0, true, 0};
  auto all = random_matrix<float>(30, c.width(), 7);
  for (Index t = 0; t < 30; ++t)
    for (Index j = c.q_width() + c.kv_width(); j < c.width(); ++j) all(t, j) += 1000;  // values that hardly differ
  const auto dy = random_matrix<float>(30, c.q_width(), 8);
  const Matrix<float> before(30, c.width(), 0.0f);
  CHECK(relative_difference(gradients(context, c, all, dy, before), gradients(cpu, c, all, dy, before)) < 1e-3);
}

TEST_CASE("attention's gradients are added on the device, and only those that are wanted") {
  HALFTONE_DEVICE_CASE(context);
  const Case c{40, 4, 2, 12, 9, true, 0};
  const auto all = random_matrix<float>(80, c.width(), 1), dy = random_matrix<float>(80, 48, 2);
  const auto whole = gradients(context, c, all, dy, Matrix<float>(80, c.width(), 0.0f));
  const auto sum = gradients(context, c, all, dy, Matrix<float>(80, c.width(), 3.0f), {.add = true});
  for (Index i = 0; i < sum.size(); ++i) REQUIRE(sum.data()[i] == 3.0f + whole.data()[i]);
  Matrix<float> parts(80, c.width(), 0.0f);
  parts = gradients(context, c, all, dy, parts, {false, false, true});
  parts = gradients(context, c, all, dy, parts, {true, false, false});
  parts = gradients(context, c, all, dy, parts, {false, true, false});
  CHECK(parts == whole);
  const Matrix<float> untouched(80, c.width(), 7.0f);
  CHECK(gradients(context, c, all, dy, untouched, {false, false, false}) == untouched);
}

TEST_CASE("a window of one token passes gradients to that token's value alone, on the device too") {
  HALFTONE_DEVICE_CASE(context);
  const Case c{20, 2, 1, 8, 1, true, 0};
  const auto all = random_matrix<float>(20, c.width(), 4), dy = random_matrix<float>(20, 16, 5);
  const auto d = gradients(context, c, all, dy, Matrix<float>(20, c.width(), 1.0f));
  for (Index t = 0; t < 20; ++t) {
    for (Index j = 0; j < 24; ++j) CHECK(std::abs(d(t, j)) < 1e-6f);
    for (Index j = 0; j < 8; ++j) CHECK(d(t, 24 + j) == dy(t, j) + dy(t, 8 + j));
  }
}

TEST_CASE("windows do not see each other's gradients") {
  HALFTONE_DEVICE_CASE(context);
  const Case c{45, 6, 3, 20, 0, true, 0};
  const auto all = random_matrix<float>(90, c.width(), 4), dy = random_matrix<float>(90, 120, 5);
  const auto both = gradients(context, c, all, dy, Matrix<float>(90, c.width(), 0.0f));
  const auto second = gradients(context, c, Matrix<float>(all.view().middle_rows(45, 45)),
                                Matrix<float>(dy.view().middle_rows(45, 45)), Matrix<float>(45, c.width(), 0.0f));
  CHECK(second == Matrix<float>(both.view().middle_rows(45, 45)));
}

TEST_CASE("attention's gradients on the device refuse shapes that do not fit, and heads that are too wide") {
  HALFTONE_DEVICE_CASE(context);
  const AttentionShape shape{.length = 8, .heads = 4, .kv_heads = 2, .scale = 1};
  auto q = context.allocate<float>(16, 32), k = context.allocate<float>(16, 16),
       wrong = context.allocate<float>(16, 17);
  auto dq = context.allocate<float>(16, 32), dk = context.allocate<float>(16, 16), dv = context.allocate<float>(16, 16);
  const auto refuses = [&](MatrixView<const float> values, MatrixView<const float> dy, MatrixView<float> gradient) {
    CHECK_THROWS_WITH(attention_backward<float>(context, q, k, values, shape, dy, {gradient}, {dk}, {dv}),
                      Catch::Contains("attention_backward: got"));
  };
  refuses(wrong, q, dq);
  refuses(k, wrong, dq);
  refuses(k, q, wrong);
  auto wide = context.allocate<float>(4, 264);
  const AttentionShape one{.length = 4, .heads = 1, .kv_heads = 1};
  CHECK(error_of([&] {
          attention_backward<float>(context, wide, wide, wide, one, wide, {wide}, {}, {});
        }).find("unsupported: attention_backward: heads have 264") == 0);
  CHECK(attention_backward_bytes<float>(context, shape, 8, 16) == 16 * 4 * 3 * 4);
}
