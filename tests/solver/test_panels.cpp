// A factor in panels gives what the papers' inverse factor gives.
#include <catch2/catch.hpp>

#include "error_text.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/target.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

template <class S>
struct Solved {
  Matrix<S> values;
  Matrix<std::uint8_t> codes;
  double loss;
};

/// The whole core on a layer in natural order: `plan` says in what panels. D: of a second update of strength 0.7.
template <class S>
Solved<S> solve(const Layer<S>& layer, const DiffusionPlan& plan, ProductType products = ProductType::Float,
                const SpillableMatrix<S>& D = {}, SecondMode mode = SecondMode::Pre) {
  const Index n = layer.W.cols();
  const auto moments =
      factor_moments(layer.statistics, input_diagonal("test", layer.statistics), natural_order(n), 0.01, plan.panel);
  REQUIRE(moments.factored);
  Matrix<S> T;
  if (!D.empty()) T = second_update_matrix(moments, D);
  const GridOptions grid{.bits = 3, .group_size = plan.group_columns};
  UniformGrids<S, Cpu> grids(layer.context, grid, layer.W.rows(), grid.groups(n));
  grids.fit_all(layer.context, layer.W, nullptr);
  const std::vector<std::int32_t> groups = groups_of_positions(plan, natural_order(n));
  Solved<S> result{layer.W, Matrix<std::uint8_t>(layer.W.rows(), n, std::uint8_t{77}), 0};
  result.loss = diffuse_errors(layer.context, plan, moments.factor.view(), result.values.view(), grids,
                               static_cast<const S*>(nullptr), groups.data(), result.codes.view(),
                               SecondTerm<S>{std::as_const(T).view(), mode, 0.7}, products);
  return result;
}

/// Neighbouring inputs go together, so that every panel asks much of those behind it.
Matrix<float> alike_inputs(Index tokens, Index width, float share) {
  Matrix<float> X = random_inputs<float>(tokens, width, 5);
  for (Index t = 0; t < tokens; ++t)
    for (Index j = 1; j < width; ++j) X(t, j) += share * X(t, j - 1);
  return X;
}

/// tr((Q−W) H (Q−W)ᵀ) in double.
double objective(const Layer<float>& layer, const Matrix<float>& Q) {
  double sum = 0;
  const Matrix<float>& X = layer.X;
  for (Index t = 0; t < X.rows(); ++t)
    for (Index r = 0; r < Q.rows(); ++r) {
      double error = 0;
      for (Index j = 0; j < Q.cols(); ++j)
        error += static_cast<double>(X(t, j)) * (static_cast<double>(Q(r, j)) - static_cast<double>(layer.W(r, j)));
      sum += error * error;
    }
  return sum;
}

}  // namespace

TEST_CASE("panels: the codes, values and loss of one panel, kept columns included") {
  const Layer<double> layer(7, 61, 150, 1);
  for (const GroupMode groups : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference})
    for (const Index columns : {61, 60, 40, 16, 15, 1, 0}) {
      DiffusionPlan plan{columns, 4, groups, 8, one_panel};
      const auto one = solve(layer, plan);
      for (const Index panel : {8, 16, 24, 56, 64, 640}) {
        CAPTURE(groups, columns, panel);
        plan.panel = panel;
        const auto several = solve(layer, plan);
        CHECK(several.codes == one.codes);
        CHECK(several.loss == Approx(one.loss).epsilon(1e-10).margin(1e-15));
        double largest = 0;
        for (Index i = 0; i < one.values.size(); ++i)
          largest = std::max(largest, std::abs(several.values.data()[i] - one.values.data()[i]));
        CHECK(largest < 1e-12);
      }
    }
}

TEST_CASE("panels: rounded products keep the objective, however much inputs go together") {
  for (const float share : {0.0f, 0.8f, 0.99f}) {
    const Layer<float> layer(random_matrix<float>(24, 300, 4, 0.1), alike_inputs(700, 300, share));
    const DiffusionPlan plan{300, 32, GroupMode::Static, 100, 32};
    DiffusionPlan whole = plan;
    whole.panel = one_panel;
    const double exact = objective(layer, solve(layer, whole).values);
    CAPTURE(share, exact);
    CHECK(objective(layer, solve(layer, plan).values) == Approx(exact).epsilon(1e-3));
    CHECK(objective(layer, solve(layer, plan, ProductType::BFloat16).values) == Approx(exact).epsilon(0.01));
  }
}

TEST_CASE("panels: no block and no fitted group crosses them, or the core refuses") {
  const auto narrowest = [](GroupMode groups, Index block, Index group) {
    return DiffusionPlan{64, block, groups, group}.panel_columns(1);
  };
  CHECK(narrowest(GroupMode::Static, 12, 8) == 12);
  CHECK(narrowest(GroupMode::Fresh, 12, 8) == 8);
  CHECK(narrowest(GroupMode::Reference, 12, 8) == 24);
  CHECK(DiffusionPlan{64, 12}.panel_columns(128) == 132);
  CHECK(DiffusionPlan{64, 4}.panel_columns(128) == 128);
  CHECK(DiffusionPlan{64, 300}.panel_columns(128) == 300);

  const Layer<double> layer(2, 24, 60, 2);
  CHECK_THROWS_AS(solve(layer, DiffusionPlan{24, 8, GroupMode::Static, 8, 12}), Error);
  CHECK_THROWS_AS(solve(layer, DiffusionPlan{24, 4, GroupMode::Fresh, 8, 4}), Error);
  CHECK_THROWS_AS(solve(layer, DiffusionPlan{24, 4, GroupMode::Reference, 6, 6}), Error);
}

TEST_CASE("panels: the second update in the mode pre, kept columns included") {
  const Layer<double> layer(7, 61, 150, 1);
  const Index n = 61;
  Matrix<double> D = random_matrix<double>(n, n, 4, 0.1);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) D(i, j) *= layer.H()(i, i);
  const SpillableMatrix<double> sums(layer.context, D);
  const auto solve_with = [&](const DiffusionPlan& plan, SecondMode mode) {
    return solve(layer, plan, ProductType::Float, sums, mode);
  };
  for (const GroupMode groups : {GroupMode::Static, GroupMode::Fresh, GroupMode::Reference})
    for (const Index columns : {61, 60, 40, 16, 1, 0}) {
      DiffusionPlan plan{columns, 4, groups, 8, one_panel};
      const auto one = solve_with(plan, SecondMode::Pre);
      for (const Index panel : {8, 16, 24, 56, 64}) {
        CAPTURE(groups, columns, panel);
        plan.panel = panel;
        const auto several = solve_with(plan, SecondMode::Pre);
        CHECK(several.codes == one.codes);
        CHECK(several.loss == Approx(one.loss).epsilon(1e-9).margin(1e-14));
        double largest = 0;
        for (Index i = 0; i < one.values.size(); ++i)
          largest = std::max(largest, std::abs(several.values.data()[i] - one.values.data()[i]));
        CHECK(largest < 1e-11);
      }
    }
  const DiffusionPlan plan{61, 4, GroupMode::Static, 8, 16};
  CHECK(error_of([&] { solve_with(plan, SecondMode::Reference); }).find("mode other than pre") != std::string::npos);
}
