// What rows of logits say, against the CPU's.
#include <limits>
#include <vector>

#include "halftone/backend/cuda_nn.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);

template <class Backend>
std::vector<LogitSummary> summaries(const Context<Backend>& context, const Matrix<float>& x) {
  std::vector<LogitSummary> out(static_cast<std::size_t>(x.rows()));
  const auto there = context.upload(x.view());
  summarize_logits<float>(context, there.view(), out.data());
  return out;
}

template <class Backend>
std::vector<double> divergences(const Context<Backend>& context, const Matrix<float>& reference,
                                const Matrix<float>& x) {
  const auto of_reference = summaries(context, reference), of_x = summaries(context, x);
  std::vector<double> out(of_x.size());
  const auto a = context.upload(reference.view()), b = context.upload(x.view());
  divergence<float>(context, a.view(), of_reference.data(), b.view(), of_x.data(), out.data());
  return out;
}

constexpr float infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("summaries, divergences and logits of targets are the CPU's, one token and one word included") {
  HALFTONE_DEVICE_CASE(context);
  const struct {
    Index tokens, vocabulary;
  } shapes[] = {{1, 1}, {3, 1}, {1, 33}, {5, 31}, {7, 64}, {9, 95}, {2, 40001}};
  for (const auto& shape : shapes) {
    INFO(shape.tokens << " tokens, " << shape.vocabulary << " words");
    const auto x = random_matrix<float>(shape.tokens, shape.vocabulary, 1, 4.0);
    const auto reference = random_matrix<float>(shape.tokens, shape.vocabulary, 2, 4.0);
    const auto here = summaries(cpu, x), there = summaries(context, x);
    const auto kl = divergences(cpu, reference, x), kl_there = divergences(context, reference, x);
    const auto nothing = divergences(context, x, x);
    std::vector<std::int32_t> targets;
    for (Index i = 0; i < shape.tokens; ++i) targets.push_back(static_cast<std::int32_t>(7 * i % shape.vocabulary));
    std::vector<float> picked(targets.size());
    const auto on = on_device(context, x);
    target_logits<float>(context, on.view(), targets.data(), picked.data());
    for (std::size_t i = 0; i < here.size(); ++i) {
      CHECK(there[i].log_sum == Approx(here[i].log_sum).epsilon(1e-6).margin(1e-6));
      CHECK(there[i].largest == here[i].largest);
      CHECK(kl_there[i] == Approx(kl[i]).epsilon(1e-6).margin(1e-6));
      CHECK(nothing[i] == 0);
      CHECK(picked[i] == x(static_cast<Index>(i), targets[i]));
    }
    CHECK(divergences(context, reference, x) == kl_there);
  }
}

TEST_CASE("a row says the same whatever rows stand beside it") {
  HALFTONE_DEVICE_CASE(context);
  const auto x = random_matrix<float>(6, 77, 3, 4.0);
  const auto all = summaries(context, x);
  for (Index row = 0; row < 6; ++row) {
    const auto alone = summaries(context, Matrix<float>(x.view().middle_rows(row, 1)));
    CHECK(alone[0].log_sum == all[static_cast<std::size_t>(row)].log_sum);
    CHECK(alone[0].largest == all[static_cast<std::size_t>(row)].largest);
  }
}

TEST_CASE("of equal logits the first is the largest, on whichever lane it stands") {
  HALFTONE_DEVICE_CASE(context);
  for (const Index vocabulary : {2, 31, 32, 33, 100})
    for (Index first = 0; first < vocabulary; ++first) {
      Matrix<float> x(2, vocabulary, -3.0f);
      for (Index j = first; j < vocabulary; j += 3) x(0, j) = 1.5f;
      const auto there = summaries(context, x);
      CHECK(there[0].largest == first);
      CHECK(there[1].largest == 0);
      CHECK(there[1].log_sum == Approx(-3 + std::log(static_cast<double>(vocabulary))).epsilon(1e-6));
    }
}

TEST_CASE("words that cannot follow count nothing; logits that are not finite give no finite sum, as on the CPU") {
  HALFTONE_DEVICE_CASE(context);
  auto x = random_matrix<float>(6, 40, 4);
  for (Index j = 0; j < 40; ++j)
    if (j != 17) x(0, j) = -infinity;
  x(1, 0) = x(1, 33) = -infinity;
  x(2, 39) = std::numeric_limits<float>::quiet_NaN();
  x(3, 5) = infinity;
  for (Index j = 0; j < 40; ++j) x(4, j) = -infinity;
  x(5, 0) = std::numeric_limits<float>::quiet_NaN();
  const auto here = summaries(cpu, x), there = summaries(context, x);
  CHECK(there[0].log_sum == x(0, 17));
  CHECK(there[0].largest == 17);
  for (std::size_t i = 0; i < there.size(); ++i) {
    CHECK(std::isfinite(there[i].log_sum) == std::isfinite(here[i].log_sum));
    CHECK(std::isfinite(there[i].log_sum) == (i < 2));
  }
  CHECK(there[1].log_sum == Approx(here[1].log_sum).epsilon(1e-6));
  CHECK(there[1].largest == here[1].largest);
}

TEST_CASE("logits without words, and of other shapes than the reference's, are refused") {
  HALFTONE_DEVICE_CASE(context);
  const auto none = context.allocate<float>(2, 0), one = context.allocate<float>(2, 1);
  std::vector<LogitSummary> out(2);
  std::vector<double> kl(2);
  CHECK(error_of([&] {
          summarize_logits<float>(context, none.view(), out.data());
        }).find("shape_mismatch: summarize_logits") == 0);
  CHECK(error_of([&] {
          divergence<float>(context, none.view(), out.data(), one.view(), out.data(), kl.data());
        }).find("shape_mismatch: divergence") == 0);
}
