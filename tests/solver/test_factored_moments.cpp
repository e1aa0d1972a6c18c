#include "halftone/solver/factored_moments.hpp"

#include <catch2/catch.hpp>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

template <class S>
FactoredMoments<S, Cpu> factor(const InputStatistics<S>& statistics, double damping, bool act_order = false) {
  InputDiagonal diagonal = input_diagonal("test", statistics);
  auto order = act_order ? descending_order(diagonal.values) : natural_order(statistics.width());
  return factor_moments(statistics, std::move(diagonal), std::move(order), damping);
}

/// [[a, b], [b, c]].
template <class S>
Matrix<S> two_by_two(S a, S b, S c) {
  Matrix<S> H(2, 2);
  H(0, 0) = a;
  H(0, 1) = H(1, 0) = b;
  H(1, 1) = c;
  return H;
}

}  // namespace

TEMPLATE_TEST_CASE("UᵀU is the inverse of the damped H in solving order", "", float, double) {
  const double tolerance = std::is_same_v<TestType, float> ? 1e-3 : 1e-11;
  const Layer<TestType> layer(1, 30, 80, 1);
  for (bool act_order : {false, true}) {
    const auto moments = factor(layer.statistics, 0.02, act_order);
    REQUIRE(moments.factored);
    Matrix<double> Hd(30, 30);
    for (Index p = 0; p < 30; ++p)
      for (Index q = 0; q < 30; ++q)
        Hd(p, q) = static_cast<double>(layer.H()(moments.order[static_cast<std::size_t>(p)],
                                                 moments.order[static_cast<std::size_t>(q)])) +
                   (p == q ? moments.lambda() : 0);
    for (Index first : {0, 11}) {  // also the trailing part: Hd[q:, q:]⁻¹ = U[q:, q:]ᵀ U[q:, q:]
      const Matrix<double> inverse = naive_inverse(trailing(Hd, first));
      for (Index i = 0; i < inverse.rows(); ++i)
        for (Index j = 0; j < inverse.rows(); ++j) {
          double sum = 0;
          for (Index k = 0; k < inverse.rows(); ++k)
            sum += static_cast<double>(moments.factor(first + k, first + i)) *
                   static_cast<double>(moments.factor(first + k, first + j));
          CHECK(sum * moments.scale == Approx(inverse(i, j)).epsilon(tolerance).margin(tolerance * inverse(0, 0)));
        }
    }
  }
}

TEST_CASE("the ladder doubles, from 0.001 at least, to 1") {
  CHECK(next_damping(0) == 0.001);
  CHECK(next_damping(1e-5) == 0.001);
  CHECK(next_damping(0.01) == 0.02);
  CHECK(next_damping(0.7) == 1);
}

TEST_CASE("a pivot that float loses is found in double precision, before damping is raised") {
  const Context<Cpu> context(1);
  const auto statistics = InputStatistics<float>::from_sums(context, 9, two_by_two(1.0f, 1.0f, 1.0f + 0x1p-23f));
  const auto moments = factor(statistics, 0);
  CHECK(moments.factored);
  CHECK(moments.report.damping_steps == 0);
  CHECK(noted(moments.report, "double precision"));
}

TEST_CASE("an H that is no XᵀX is damped up the ladder, and past its end the weights are only rounded") {
  const Context<Cpu> context(1);
  const auto bent = InputStatistics<double>::from_sums(context, 9, two_by_two(1.0, 1.3, 1.0));
  const auto damped = factor(bent, 0.01);
  CHECK(damped.factored);
  CHECK(damped.report.damping == 0.32);  // the first rung above 0.3
  CHECK(damped.report.damping_steps == 5);

  const auto broken = InputStatistics<float>::from_sums(context, 9, two_by_two(1.0f, 5.0f, 1.0f));
  const auto moments = factor(broken, 0.01);
  CHECK_FALSE(moments.factored);
  CHECK(moments.report.damping == 1);
  CHECK(noted(moments.report, "NOT SOLVED"));
  Matrix<float> W = random_matrix<float>(4, 2, 3);
  const GptqSolver<float, Cpu> gptq(context, gptq_options(2));
  const RtnSolver<float, Cpu> rtn(context, RtnOptions{gptq.grid()});
  const QuantizedMatrix result = gptq.quantize(W, gptq.prepare(broken)), rounded = rtn.quantize(W, rtn.prepare(broken));
  CHECK(same_codes(result, rounded));
  CHECK(noted(result.report, "NOT SOLVED"));
  CHECK(result.report.relative_error == Approx(rounded.report.relative_error));
}

TEST_CASE("diag(H): dead columns, mean and median of the others") {
  const InputDiagonal diagonal({4, 0, 1, 1e-16, 3, 2});
  CHECK(diagonal.dead == std::vector<std::uint8_t>{0, 1, 0, 1, 0, 0});
  CHECK(diagonal.dead_columns == 2);
  CHECK(diagonal.mean == Approx(2.5));
  CHECK(diagonal.median == 3);
  CHECK(diagonal.values[3] == 0);
  CHECK(InputDiagonal({0, 0}).dead_columns == 2);
}
