// Refinement on binary-coded grids: the refit of α and β against normal equations solved elsewhere, and what must hold.
#include <catch2/catch.hpp>

#include <Eigen/Dense>
#include <cmath>

#include "halftone/backend/refit.impl.hpp"
#include "halftone/quant/binary_fit.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/solver/refine.hpp"
#include "random_matrix.hpp"
#include "refine_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

GridOptions options_of(int bits, std::int64_t group_size, ScaleType type) {
  GridOptions options;
  options.bits = bits;
  options.group_size = group_size;
  options.scale_type = type;
  return options;
}

/// A matrix rounded to binary-coded grids.
template <class S>
struct BinaryLayer {
  Context<Cpu> context;
  GridOptions options;
  BinaryCandidates candidates;
  Matrix<S> target, H, values;
  Matrix<std::uint8_t> codes;
  std::vector<std::int32_t> group_of_column;
  BinaryGrids<S, Cpu> grids;

  BinaryLayer(int bits, Index rows, Index width, std::int64_t group, ScaleType type = ScaleType::F16, int threads = 2)
      : context(threads),
        options(options_of(bits, group, type)),
        candidates("test", options, {}),
        target(random_matrix<S>(rows, width, 5, 0.1)),
        H(Refinable<S>::moments(width, 6)),
        values(target),
        codes(rows, width),
        group_of_column(groups_of_columns(width, options.group_columns(width))),
        grids(context, candidates, options, rows, options.groups(width)) {
    grids.fit_all(context, target, nullptr);
    round_block<S>(context, grids.cells(group_of_column.data()), values, codes);
  }
  BinaryLayer(const BinaryLayer&) = delete;

  RefineReport refine(int rounds, bool search) {
    return halftone::refine<S>(context, {target, H, values, codes, group_of_column, {}, {}, ScaleType::F16}, grids,
                               RefineOptions{rounds, search, 0});
  }
  double objective(Index r, const Matrix<S>& Q) const {
    double sum = 0;
    for (Index i = 0; i < H.rows(); ++i)
      for (Index j = 0; j < H.rows(); ++j)
        sum += static_cast<double>(Q(r, i) - target(r, i)) * static_cast<double>(H(i, j)) *
               static_cast<double>(Q(r, j) - target(r, j));
    return sum;
  }
  /// What is stored decodes to the values; planes are in order.
  void check_consistent() const {
    const BinaryGrid stored = grids.stored(context, values.cols());
    const Matrix<float> decoded = dequantize(codes, stored);
    for (Index i = 0; i < values.size(); ++i) REQUIRE(decoded.data()[i] == static_cast<float>(values.data()[i]));
    for (Index r = 0; r < values.rows(); ++r)
      for (Index g = 0; g < stored.groups(); ++g)
        for (int i = 0; i < stored.bits; ++i) {
          const float alpha = stored.alphas(r, g * stored.bits + i);
          REQUIRE(alpha >= 0);
          REQUIRE(alpha == round_stored(alpha, options.scale_type));
          if (i > 0) REQUIRE(alpha <= stored.alphas(r, g * stored.bits + i - 1));
        }
  }
};

}  // namespace

TEST_CASE("one refit of a whole row is the least-squares solution for its signs") {
  for (int bits : {2, 3, 4}) {
    CAPTURE(bits);
    BinaryLayer<double> layer(bits, 12, 40, -1, ScaleType::F32);
    Matrix<double> G(12, 40, 0.0);
    for (Index r = 0; r < 12; ++r)
      for (Index i = 0; i < 40; ++i)
        for (Index j = 0; j < 40; ++j) G(r, j) += (layer.values(r, i) - layer.target(r, i)) * layer.H(i, j);
    const auto codes = layer.codes;
    const auto columns = natural_order(40);
    const auto changed = layer.grids.refit(
        layer.context, 0, RefitTask<double>{columns.data(), 40, layer.H, layer.values, G, layer.codes});
    CHECK(changed >= 11);
    layer.check_consistent();
    Eigen::MatrixXd H(40, 40);
    for (Index i = 0; i < 40; ++i)
      for (Index j = 0; j < 40; ++j) H(i, j) = layer.H(i, j);
    for (Index r = 0; r < 12; ++r) {
      Eigen::MatrixXd B(40, bits + 1);
      Eigen::VectorXd t(40);
      for (Index j = 0; j < 40; ++j) {
        for (int i = 0; i < bits; ++i) B(j, i) = (codes(r, j) >> i & 1) != 0 ? 1 : -1;
        B(j, bits) = 1;
        t(j) = layer.target(r, j);
      }
      const Eigen::VectorXd p = (B.transpose() * H * B).ldlt().solve(B.transpose() * H * t);
      const Eigen::VectorXd q = B * p;
      for (Index j = 0; j < 40; ++j) CHECK(layer.values(r, j) == Approx(q(j)).margin(1e-6));
      for (Index j = 0; j < 40; ++j) {  // G was kept up to date
        double g = 0;
        for (Index i = 0; i < 40; ++i) g += (layer.values(r, i) - layer.target(r, i)) * layer.H(i, j);
        CHECK(G(r, j) == Approx(g).margin(1e-10));
      }
    }
  }
}

TEST_CASE("negative and unordered planes are renamed without changing a value") {
  float alphas[] = {-0.5f, 2.0f, -1.0f, 0.25f};
  const float old[] = {-0.5f, 2.0f, -1.0f, 0.25f};
  std::uint8_t code_of[16];
  detail::order_planes(alphas, 4, code_of);
  CHECK((alphas[0] == 2.0f && alphas[1] == 1.0f && alphas[2] == 0.5f && alphas[3] == 0.25f));
  for (unsigned code = 0; code < 16; ++code)
    CHECK(decode_binary(code_of[code], alphas, 1, 3.0f, 4) == decode_binary(code, old, 1, 3.0f, 4));
}

TEMPLATE_TEST_CASE("no round of refinement raises the objective of any row, binary-coded", "", float, double) {
  using S = TestType;
  for (const auto& [bits, group] : {std::pair<int, std::int64_t>{2, -1}, {3, 32}, {4, 50}})
    for (bool search : {false, true}) {
      CAPTURE(bits, group, search);
      BinaryLayer<S> layer(bits, 33, 130, group);
      std::vector<double> last;
      for (Index r = 0; r < 33; ++r) last.push_back(layer.objective(r, layer.values));
      double first = 0, total = 0;
      for (double value : last) first += value;
      for (int round = 0; round < 4; ++round) {
        layer.refine(1, search);
        layer.check_consistent();
        total = 0;
        for (Index r = 0; r < 33; ++r) {
          const double now = layer.objective(r, layer.values);
          CHECK(now <= last[static_cast<std::size_t>(r)] * (1 + (sizeof(S) == 4 ? 1e-3 : 1e-12)));
          last[static_cast<std::size_t>(r)] = now;
          total += now;
        }
      }
      CHECK(total < 0.9 * first);
    }
}

TEST_CASE("refinement of binary-coded grids is the same bytes for any number of threads") {
  const auto refined = [](int threads) {
    BinaryLayer<float> layer(3, 600, 96, 32, ScaleType::F16, threads);
    layer.refine(3, true);
    return std::tuple(layer.values, layer.codes, layer.grids.stored(layer.context, 96).alphas);
  };
  const auto one = refined(1);
  CHECK(one == refined(2));
  CHECK(one == refined(5));
}

TEST_CASE("rows of zeros and single columns are left alone by the refit of planes") {
  for (const auto& [rows, width] : {std::pair<Index, Index>{1, 1}, {3, 1}, {1, 5}}) {
    BinaryLayer<double> layer(2, rows, width, -1);
    const double before = layer.objective(0, layer.values);
    layer.refine(3, true);
    layer.check_consistent();
    CHECK(layer.objective(0, layer.values) <= before * (1 + 1e-12));
  }
}
