// The core by itself: its loss, kept columns, the second update.
#include "halftone/solver/error_diffusion.hpp"

#include <catch2/catch.hpp>

#include "naive_gptq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Damped H and its factor, natural order, in double.
struct System {
  Matrix<double> Hd, U;
};
System system_of(const Layer<double>& layer, double damping) {
  const Index n = layer.W.cols();
  const auto moments =
      factor_moments(layer.statistics, input_diagonal("test", layer.statistics), natural_order(n), damping);
  System system{layer.H(), moments.factor};
  for (Index i = 0; i < n; ++i) {
    system.Hd(i, i) += moments.lambda();
    for (Index j = 0; j < n; ++j) system.U(i, j) *= std::sqrt(moments.scale);  // of Hd, not of Hd · scale
  }
  return system;
}

struct Diffused {
  Matrix<double> values;
  Matrix<std::uint8_t> codes;
  double loss;
};

/// Grid per row, min-max on the weights as they came.
Diffused diffuse(const Layer<double>& layer, const System& system, Index columns, Index block, int bits,
                 const SecondTerm<double>& second = {}) {
  const Index n = layer.W.cols();
  const GridOptions grid{.bits = bits, .group_size = -1};
  UniformGrids<double, Cpu> grids(layer.context, grid, layer.W.rows(), 1);
  grids.fit_all(layer.context, layer.W, nullptr);
  const DiffusionPlan plan{columns, block, GroupMode::Static, n};
  const std::vector<std::int32_t> groups = groups_of_positions(plan, natural_order(n));
  Diffused result{layer.W, Matrix<std::uint8_t>(layer.W.rows(), n, std::uint8_t{77}), 0};
  result.loss = diffuse_errors(layer.context, plan, std::as_const(system.U).view(), result.values.view(), grids,
                               static_cast<const double*>(nullptr), groups.data(), result.codes.view(), second);
  return result;
}

/// P = α · strict_upper(D Uᵀ) U by its definition: row q is α · D[q, q+1:] · Hd[q+1:, q+1:]⁻¹.
Matrix<double> naive_p(const Matrix<double>& D, const Matrix<double>& Hd, double alpha) {
  const Index n = D.rows();
  Matrix<double> P(n, n, 0.0);
  for (Index q = 0; q + 1 < n; ++q) {
    const Matrix<double> inverse = naive_inverse(trailing(Hd, q + 1));
    for (Index j = q + 1; j < n; ++j)
      for (Index k = q + 1; k < n; ++k) P(q, j) += alpha * D(q, k) * inverse(k - q - 1, j - q - 1);
  }
  return P;
}

double form(const Matrix<double>& A, const Matrix<double>& H) {
  double sum = 0;
  for (Index r = 0; r < A.rows(); ++r)
    for (Index i = 0; i < A.cols(); ++i)
      for (Index j = 0; j < A.cols(); ++j) sum += A(r, i) * H(i, j) * A(r, j);
  return sum;
}

Matrix<double> difference(const Matrix<double>& A, const Matrix<double>& B) {
  Matrix<double> out(A.rows(), A.cols());
  for (Index r = 0; r < A.rows(); ++r)
    for (Index j = 0; j < A.cols(); ++j) out(r, j) = A(r, j) - B(r, j);
  return out;
}

}  // namespace

TEST_CASE("Σ e² is tr((Q−W) Hd (Q−W)ᵀ), with kept columns as well") {
  const Layer<double> layer(6, 29, 70, 1);
  const System system = system_of(layer, 0.01);
  for (Index columns : {29, 20, 1, 0}) {
    const Diffused result = diffuse(layer, system, columns, 8, 3);
    CHECK(result.loss == Approx(form(difference(result.values, layer.W), system.Hd)).epsilon(1e-9).margin(1e-15));
  }
}

TEST_CASE("kept columns end at the least-squares optimum and have no codes") {
  const Layer<double> layer(5, 24, 60, 2);
  const System system = system_of(layer, 0.02);
  const Index dense = 18, kept = 6;
  const Diffused result = diffuse(layer, system, dense, 7, 3);
  // W_w + (W_d − Q_d) H_dw H_ww⁻¹
  const Matrix<double> inverse = naive_inverse(trailing(system.Hd, dense));
  for (Index r = 0; r < 5; ++r)
    for (Index k = 0; k < kept; ++k) {
      double wanted = layer.W(r, dense + k);
      for (Index j = 0; j < dense; ++j)
        for (Index l = 0; l < kept; ++l)
          wanted += (layer.W(r, j) - result.values(r, j)) * system.Hd(j, dense + l) * inverse(l, k);
      CHECK(result.values(r, dense + k) == Approx(wanted).epsilon(1e-9));
      CHECK(result.codes(r, dense + k) == 77);
    }
  CHECK(diffuse(layer, system, 0, 8, 3).values == layer.W);
}

TEST_CASE("the second update is that of explicit inverses") {
  const Layer<double> layer(5, 26, 70, 3);
  const System system = system_of(layer, 0.01);
  Matrix<double> D = random_matrix<double>(26, 26, 4, 0.1);
  for (Index i = 0; i < 26; ++i)
    for (Index j = 0; j < 26; ++j) D(i, j) *= layer.H()(i, i);
  const Matrix<double> P = naive_p(D, system.Hd, 0.25);
  const Matrix<double> T =
      second_update_matrix(layer.context, SpillableMatrix<double>(layer.context, D), std::as_const(system.U).view());

  // Column by column, the paper's equation 15.
  Matrix<double> V = layer.W, values(5, 26);
  for (Index q = 0; q < 26; ++q) {
    const Matrix<double> inverse = naive_inverse(trailing(system.Hd, q));
    for (Index r = 0; r < 5; ++r) {
      const auto [scale, zero] =
          naive_grid({layer.W.row(r), layer.W.row(r) + 26}, GridOptions{.bits = 3, .group_size = -1});
      const double w = V(r, q), code = std::clamp(std::nearbyint(w / scale) + zero, 0.0, 7.0);
      values(r, q) = scale * (code - zero);
      for (Index c = q; c < 26; ++c) V(r, c) += w * P(q, c) - (w - values(r, q)) / inverse(0, 0) * inverse(0, c - q);
    }
  }

  const auto solve = [&](Index block, SecondMode left) {
    return diffuse(layer, system, 26, block, 3, SecondTerm<double>{std::as_const(T).view(), left, 0.25}).values;
  };
  const auto distance = [&](const Matrix<double>& Q) {
    const Matrix<double> d = difference(Q, values);
    double largest = 0;
    for (Index i = 0; i < d.size(); ++i) largest = std::max(largest, std::abs(d.data()[i]));
    return largest;
  };
  for (Index block : {1, 5, 8, 26}) CHECK(distance(solve(block, SecondMode::Pre)) < 1e-9);
  CHECK(distance(solve(26, SecondMode::Reference)) < 1e-9);  // nothing lies behind a single block
  CHECK(distance(solve(5, SecondMode::Reference)) > 1e-3);   // the published code depends on the block size
}

TEST_CASE("a plan cuts blocks at their size, and fresh groups start blocks") {
  const auto ends = [](DiffusionPlan plan) {
    std::vector<Index> list;
    for (Index a = 0; a < plan.columns; a = list.back()) list.push_back(plan.block_end(a));
    return list;
  };
  CHECK(ends({10, 4, GroupMode::Static, 3}) == std::vector<Index>{4, 8, 10});
  CHECK(ends({10, 4, GroupMode::Reference, 3}) == std::vector<Index>{4, 8, 10});
  CHECK(ends({10, 4, GroupMode::Fresh, 3}) == std::vector<Index>{3, 6, 9, 10});
  CHECK(ends({10, 4, GroupMode::Fresh, 6}) == std::vector<Index>{4, 6, 10});
}

TEST_CASE("with a second update the loss is still exact, and kept columns end where the others moved them") {
  const Layer<double> layer(5, 26, 70, 3);
  const System system = system_of(layer, 0.01);
  Matrix<double> D = random_matrix<double>(26, 26, 4, 0.1);
  for (Index i = 0; i < 26; ++i)
    for (Index j = 0; j < 26; ++j) D(i, j) *= layer.H()(i, i);
  const Matrix<double> P = naive_p(D, system.Hd, 0.5);
  const Matrix<double> T =
      second_update_matrix(layer.context, SpillableMatrix<double>(layer.context, D), std::as_const(system.U).view());
  const SecondTerm<double> second{std::as_const(T).view(), SecondMode::Pre, 0.5};
  for (Index columns : {0, 1, 20, 26})
    for (Index block : {1, 6, 26}) {
      CAPTURE(columns, block);
      const Diffused result = diffuse(layer, system, columns, block, 3, second);
      const Matrix<double> moved = difference(result.values, layer.W);
      double loss = 0;
      for (Index r = 0; r < 5; ++r)
        for (Index i = 0; i < 26; ++i)
          for (Index j = 0; j < 26; ++j) loss += moved(r, i) * system.Hd(i, j) * moved(r, j);
      CHECK(result.loss == Approx(loss).epsilon(1e-9).margin(1e-12));

      // The columns one after the other, with P.
      Matrix<double> V = layer.W;
      for (Index q = 0; q < columns; ++q)
        for (Index r = 0; r < 5; ++r) {
          const double w = V(r, q), e = (w - result.values(r, q)) / system.U(q, q);
          for (Index c = q; c < 26; ++c) V(r, c) += w * P(q, c) - e * system.U(q, c);
        }
      for (Index i = 0; i < V.size(); ++i) CHECK(V.data()[i] == Approx(result.values.data()[i]).margin(1e-9));
    }
}
