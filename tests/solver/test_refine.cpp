// Refinement: against its definition in double, and what must hold whatever the numbers are.
#include "refine_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

GridOptions grid_of(int bits, std::int64_t group_size, bool symmetric = false, ScaleType type = ScaleType::F16) {
  GridOptions grid;
  grid.bits = bits;
  grid.group_size = group_size;
  grid.symmetric = symmetric;
  grid.scale_type = type;
  return grid;
}

/// Rows in which a value differs by more than rounding error. (A tie that falls the other way changes what follows.)
Index rows_that_differ(const Matrix<double>& a, const Matrix<double>& b) {
  Index rows = 0;
  for (Index r = 0; r < a.rows(); ++r) {
    double largest = 0;
    for (Index j = 0; j < a.cols(); ++j) largest = std::max(largest, std::abs(a(r, j) - b(r, j)));
    rows += largest > 1e-10 ? 1 : 0;
  }
  return rows;
}

}  // namespace

TEST_CASE("refinement does what its definition says") {
  for (const auto& [rows, width, group] : {std::tuple<Index, Index, std::int64_t>{1, 1, -1},
                                           {1, 7, -1},
                                           {5, 1, -1},
                                           {9, 12, 4},
                                           {17, 33, -1},
                                           {3, 150, 40}})
    for (bool symmetric : {false, true}) {
      CAPTURE(rows, width, group, symmetric);
      Refinable<double> layer(rows, width, grid_of(3, group, symmetric));
      const auto expected = naive_refine(layer, 2);
      const double before = layer.objective();
      const auto report = layer.refine(2);
      CHECK(report.before == Approx(before).epsilon(1e-10));
      CHECK(report.after == Approx(layer.objective()).epsilon(1e-10));
      CHECK(rows_that_differ(layer.values, expected) == 0);
      CHECK(layer.consistent());
    }
}

TEST_CASE("refinement visits the columns in the order given, and lets kept ones move freely") {
  Refinable<double> layer(11, 30, grid_of(2, 8));
  layer.order = natural_order(30);
  Random random(3);
  shuffle(std::span(layer.order), random);
  layer.kept.assign(30, 0);
  layer.kept[4] = layer.kept[29] = 1;
  for (Index r = 0; r < 11; ++r)
    for (Index j : {4, 29}) layer.values(r, j) = 0;
  const auto expected = naive_refine(layer, 3);
  const auto codes = layer.codes;
  layer.refine(3);
  CHECK(rows_that_differ(layer.values, expected) == 0);
  CHECK(layer.consistent());
  for (Index r = 0; r < 11; ++r)
    for (Index j : {4, 29}) {
      CHECK(layer.codes(r, j) == codes(r, j));
      CHECK(layer.values(r, j) ==
            static_cast<double>(static_cast<float>(Float16(static_cast<float>(layer.values(r, j))))));
    }
}

TEMPLATE_TEST_CASE("no round raises the objective of any row", "", float, double) {
  using S = TestType;
  for (const auto& [bits, group] : {std::pair<int, std::int64_t>{2, -1}, {2, 16}, {4, 48}, {8, -1}}) {
    CAPTURE(bits, group);
    Refinable<S> layer(37, 150, grid_of(bits, group));
    std::vector<double> last;
    for (Index r = 0; r < 37; ++r) last.push_back(layer.objective(r));
    double total = layer.objective();
    for (int round = 0; round < 6; ++round) {
      const auto report = layer.refine(1);
      CHECK(report.after <= report.before * (1 + 1e-6));
      for (Index r = 0; r < 37; ++r) {  // in float, by no more than rounding error
        CHECK(layer.objective(r) <= last[static_cast<std::size_t>(r)] * (1 + (sizeof(S) == 4 ? 1e-4 : 1e-12)));
        last[static_cast<std::size_t>(r)] = layer.objective(r);
      }
      CHECK(layer.consistent());
    }
    CHECK(layer.objective() < 0.9 * total);
  }
}

TEST_CASE("refinement in float gains what it gains in double") {
  Refinable<float> single(64, 200, grid_of(3, 64));
  Refinable<double> exact(64, 200, grid_of(3, 64));
  single.refine(4);
  exact.refine(4);
  CHECK(single.objective() == Approx(exact.objective()).epsilon(0.01));
}

TEST_CASE("refinement stops at a point that it does not leave") {
  Refinable<double> layer(20, 60, grid_of(3, 20));
  const auto report = layer.refine(1000);
  CHECK(report.rounds < 100);
  const auto values = layer.values;
  const auto again = layer.refine(1000);
  CHECK(again.rounds == 1);
  CHECK(again.moves == 0);
  CHECK(again.refits == 0);
  CHECK(again.before == again.after);
  CHECK(layer.values == values);
  // No single code, moved by one, does better.
  for (Index r = 0; r < 20; ++r)
    for (Index j = 0; j < 60; ++j)
      for (int step : {-1, 1}) {
        if (layer.codes(r, j) + step < 0 || layer.codes(r, j) + step > layer.grid.top()) continue;
        const double here = layer.objective(r), value = layer.values(r, j);
        layer.values(r, j) = value + step * layer.scale(r, j);
        CHECK(layer.objective(r) >= here * (1 - 1e-12));
        layer.values(r, j) = value;
      }
}

TEST_CASE("with a diagonal H rounded codes are the best") {
  Matrix<double> H(40, 40, 0.0);
  for (Index j = 0; j < 40; ++j) H(j, j) = 1.0 + static_cast<double>(j);
  Refinable<double> layer(random_matrix<double>(15, 40, 5), std::move(H), grid_of(4, -1));
  const auto codes = layer.codes;
  Matrix<double> G(15, 40);
  for (Index r = 0; r < 15; ++r)
    for (Index j = 0; j < 40; ++j) G(r, j) = (layer.values(r, j) - layer.target(r, j)) * layer.H(j, j);
  const auto descend = [&](const auto& cells, const RefinedColumns<double>& block) {
    return descend_columns<double>(layer.context, cells, block);
  };
  CHECK(detail::sweep_codes<double>(layer.context, layer.layer(), natural_order(40), layer.grids, G.view(), descend) ==
        0);
  CHECK(layer.codes == codes);
}

TEST_CASE("a target on the grid stays") {
  Refinable<float> layer(9, 70, grid_of(4, 32));
  layer.target = layer.values;
  const auto report = layer.refine(5);
  CHECK(report.before == 0);
  CHECK(report.moves == 0);
  CHECK(layer.values == layer.target);
}

TEST_CASE("scales stay numbers that their type holds") {
  for (ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32}) {
    Refinable<double> layer(30, 64, grid_of(2, 16, false, type));
    const auto before = layer.grids.stored(layer.context, 64);
    CHECK(layer.refine(4).refits > 0);
    const auto after = layer.grids.stored(layer.context, 64);
    CHECK_FALSE(before.scales == after.scales);
    CHECK(before.zeros == after.zeros);
    for (Index r = 0; r < 30; ++r)
      for (Index g = 0; g < 4; ++g) {
        CHECK(after.scales(r, g) > 0);
        CHECK(after.scales(r, g) == round_scale(after.scales(r, g), type));
        CHECK(static_cast<double>(after.scales(r, g)) == layer.cells().scales(g, r));
      }
  }
}

TEST_CASE("dead columns and rows of zeros are left alone") {
  auto H = Refinable<float>::moments(24, 9);
  for (Index i : {3, 20})
    for (Index j = 0; j < 24; ++j) H(i, j) = H(j, i) = i == j ? 1.0f : 0.0f;
  auto W = random_matrix<float>(10, 24, 4);
  for (Index r = 0; r < 10; ++r) W(r, 3) = W(r, 20) = 0;
  for (Index j = 0; j < 24; ++j) W(7, j) = 0;
  Refinable<float> layer(std::move(W), std::move(H), grid_of(3, -1));
  layer.refine(4);
  for (Index r = 0; r < 10; ++r) CHECK((layer.values(r, 3) == 0 && layer.values(r, 20) == 0));
  for (Index j = 0; j < 24; ++j) CHECK(layer.values(7, j) == 0);
  CHECK(layer.consistent());
}

TEST_CASE("refinement is the same bytes for any number of threads") {
  const auto refined = [](int threads) {
    Refinable<float> layer(130, 200, grid_of(3, 64), 1, threads);
    const auto report = layer.refine(3);
    return std::tuple(layer.values, layer.codes, Matrix<float>(layer.cells().scales), report.before, report.after,
                      report.moves);
  };
  const auto one = refined(1);
  CHECK(one == refined(2));
  CHECK(one == refined(5));
}

TEST_CASE("the search finds the best codes of a small row, and never leaves with worse ones") {
  Index optima = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Refinable<double> layer(8, 6, grid_of(2, -1), seed), fallen(8, 6, grid_of(2, -1), seed);
    fallen.refine(1);
    const auto block = [&](Refinable<double>& of, Matrix<double>& G, Matrix<double>& E) {
      G = Matrix<double>(8, 6, 0.0);
      for (Index r = 0; r < 8; ++r)
        for (Index i = 0; i < 6; ++i)
          for (Index j = 0; j < 6; ++j) G(r, j) += (of.values(r, i) - of.target(r, i)) * of.H(i, j);
      static const auto columns = natural_order(6);
      return RefinedColumns<double>{columns.data(), 6, of.H, G, of.values, of.codes, E};
    };
    std::vector<double> before;
    for (Index r = 0; r < 8; ++r) before.push_back(layer.objective(r));
    Matrix<double> G, E(8, 6);
    const auto start = layer.values;
    search_columns<double>(layer.context, layer.cells(), block(layer, G, E), SearchEffort{8, 4, 2});
    CHECK(layer.consistent());
    for (Index r = 0; r < 8; ++r) {
      const double found = layer.objective(r);
      CHECK(found <= before[static_cast<std::size_t>(r)] * (1 + 1e-12));
      for (Index j = 0; j < 6; ++j) CHECK(E(r, j) == start(r, j) - layer.values(r, j));
      double best = found;
      for (int state = 0; state < 4096; ++state) {
        for (Index j = 0; j < 6; ++j)
          layer.values(r, j) = layer.scale(r, j) * ((state >> (2 * j) & 3) - layer.zero(r, j));
        best = std::min(best, layer.objective(r));
      }
      optima += found <= best * (1 + 1e-9);
    }
  }
  CHECK(optima >= 76);  // of 80
}

TEMPLATE_TEST_CASE("refinement with the search wins more than descent alone, the same on any number of threads", "",
                   float, double) {
  using S = TestType;
  Refinable<S> plain(100, 200, grid_of(2, 64)), searched(100, 200, grid_of(2, 64));
  plain.refine(4);
  const auto report = searched.refine(4, 0, true);
  CHECK(searched.objective() < 0.97 * plain.objective());
  CHECK(report.after == Approx(searched.objective()).epsilon(sizeof(S) == 4 ? 1e-3 : 1e-9));
  CHECK(searched.consistent());
  Refinable<S> threads(100, 200, grid_of(2, 64), 1, 5);
  threads.refine(4, 0, true);
  CHECK(threads.codes == searched.codes);
  CHECK(threads.values == searched.values);
}

TEST_CASE("rows are refined one by one: their order does not matter") {
  Refinable<double> layer(40, 50, grid_of(3, -1));
  Matrix<double> reversed(40, 50);
  for (Index r = 0; r < 40; ++r)
    for (Index j = 0; j < 50; ++j) reversed(r, j) = layer.target(39 - r, j);
  Refinable<double> other(std::move(reversed), Matrix<double>(layer.H), grid_of(3, -1));
  layer.refine(3);
  other.refine(3);
  for (Index r = 0; r < 40; ++r)
    for (Index j = 0; j < 50; ++j) REQUIRE(layer.codes(r, j) == other.codes(39 - r, j));
}

TEST_CASE("rounds end where they gain too little, and 0 rounds do nothing") {
  Refinable<double> layer(30, 80, grid_of(2, -1));
  const auto values = layer.values;
  const auto none = layer.refine(0);
  CHECK((none.rounds == 0 && none.before == 0 && none.moves == 0));
  CHECK(layer.values == values);
  const auto report = layer.refine(100, 0.05);
  CHECK(report.rounds < 20);
  Refinable<double> same(30, 80, grid_of(2, -1));
  double last = same.objective(), gain = 1;
  int rounds = 0;
  for (; gain >= 0.05; ++rounds) {
    same.refine(1);
    gain = (last - same.objective()) / last;
    last = same.objective();
  }
  CHECK(rounds == report.rounds);
  CHECK(same.values == layer.values);
}

TEST_CASE("refinement refuses matrices and lists that do not fit") {
  Refinable<float> layer(4, 6, grid_of(3, -1));
  const auto refused = [&](auto&& spoil) {
    auto given = layer.layer();
    spoil(given);
    try {
      refine<float>(layer.context, given, layer.grids, RefineOptions{1});
    } catch (const Error& error) {
      return std::string(status_name(error.status())) + ": " + error.what();
    }
    return std::string();
  };
  const Matrix<float> wrong(4, 5, 0.0f);
  CHECK_THAT(refused([&](auto& given) { given.target = wrong; }),
             Catch::Contains("shape_mismatch: refine: target is 4 x 5, wanted 4 x 6"));
  CHECK_THAT(refused([&](auto& given) { given.H = wrong; }), Catch::Contains("H is 4 x 5, wanted 6 x 6"));
  CHECK_THAT(refused([&](auto& given) { given.group_of_column = {}; }), Catch::Contains("0 entries, wanted 6"));
  const std::vector<std::int32_t> twice{0, 1, 2, 2, 4, 5};
  CHECK_THAT(refused([&](auto& given) { given.order = twice; }),
             Catch::Contains("invalid_argument: refine: order holds 2"));
  CHECK_THROWS_AS(validate_options("refine", RefineOptions{-1}), Error);
}
