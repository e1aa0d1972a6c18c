// The outlier budget: the published code's rule on published shapes, and the rule that counts what is stored.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "format/helpers.hpp"
#include "halftone/solver/outlier_budget.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A layer with one scale (16 bit) and one zero a row; an outlier column takes 16 bits a row and its index.
BudgetLayer layer(Index rows, Index cols, double share = 1, int bits = 3) {
  return {rows, cols, bits * rows * cols + rows * (16 + bits), 16 * rows + 32, 16 * rows + 32, share};
}

using Layers = std::vector<BudgetLayer>;

Layers opt(Index d) {
  return {layer(d, d), layer(d, d), layer(d, d), layer(d, d), layer(4 * d, d, 0.25), layer(d, 4 * d, 0.25)};
}
/// `kv`: outputs of k_proj and v_proj.
Layers llama(Index d, Index hidden, Index kv) {
  return {layer(d, d),
          layer(kv, d),
          layer(kv, d),
          layer(d, d),
          layer(hidden, d, 0.375),
          layer(hidden, d, 0.375),
          layer(d, hidden, 0.375)};
}
/// `qkv`: outputs of the fused projection.
Layers fused(Index d, Index qkv) { return {layer(qkv, d), layer(d, d), layer(4 * d, d, 0.25), layer(d, 4 * d, 0.25)}; }

/// Bits per weight of codes, and of kept weights at `cost` bits each on top.
double counted(const Layers& layers, const std::vector<Index>& columns, int bits, int cost) {
  double kept = 0, weights = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    kept += static_cast<double>(layers[i].rows * columns[i]);
    weights += static_cast<double>(layers[i].rows * layers[i].cols);
  }
  return bits + cost * kept / weights;
}

Index stored(const Layers& layers, const std::vector<Index>& columns) {
  Index bits = 0;
  for (std::size_t i = 0; i < layers.size(); ++i)
    bits += layers[i].plain_bits +
            (columns[i] == 0 ? 0 : layers[i].first_column_bits + (columns[i] - 1) * layers[i].column_bits);
  return bits;
}

Index weights_of(const Layers& layers) {
  Index weights = 0;
  for (const BudgetLayer& one : layers) weights += one.rows * one.cols;
  return weights;
}

/// Within the target, and no layer that has a share could take one column more.
void check_spent(double target, const Layers& layers, std::vector<Index> columns) {
  const auto bits = [&] {
    return static_cast<double>(stored(layers, columns)) / static_cast<double>(weights_of(layers));
  };
  CHECK(bits() <= target);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CHECK((columns[i] >= 0 && columns[i] <= layers[i].cols));
    if (layers[i].share == 0) CHECK(columns[i] == 0);
    if (layers[i].share == 0 || columns[i] == layers[i].cols) continue;
    ++columns[i];
    CHECK(bits() > target);
    --columns[i];
  }
}

}  // namespace

TEST_CASE("the paper's rule on the models of its tables") {
  struct Row {
    const char* model;
    double target;
    Layers layers;
    std::size_t attention, first, last;  ///< indices of a layer of each kind
    std::vector<Index> columns;          ///< that they get
    double believed, really;             ///< bits per weight at 16 − b and at 16 bits a kept weight
  };
  const std::vector<Row> rows = {
      {"OPT-125M", 3.01, opt(768), 0, 4, 5, {2, 0, 2}, 3.014, 3.017},
      {"OPT-1.3B", 3.01, opt(2048), 0, 4, 5, {4, 2, 4}, 3.015, 3.018},
      {"OPT-6.7B", 3.01, opt(4096), 0, 4, 5, {6, 2, 6}, 3.010, 3.012},
      {"OPT-66B", 3.01, opt(9216), 0, 4, 5, {14, 4, 14}, 3.010, 3.012},
      {"OPT-6.7B", 3.1, opt(4096), 0, 4, 5, {64, 16, 64}, 3.102, 3.125},
      {"LLaMA-7B", 3.01, llama(4096, 11008, 4096), 0, 4, 6, {6, 2, 6}, 3.011, 3.013},
      {"LLaMA-7B", 3.1, llama(4096, 11008, 4096), 0, 4, 6, {54, 20, 54}, 3.099, 3.122},
      {"LLaMA-65B", 3.01, llama(8192, 22016, 8192), 0, 4, 6, {12, 4, 12}, 3.011, 3.013},
      {"Llama-2-70B", 3.01, llama(8192, 28672, 1024), 0, 4, 6, {12, 4, 14}, 3.009, 3.011},
      {"BLOOM-7B1", 3.01, fused(4096, 3 * 4096), 0, 2, 3, {10, 2, 10}, 3.015, 3.019},
      {"Falcon-7B", 3.01, fused(4544, 4672), 0, 2, 3, {10, 4, 10}, 3.013, 3.016},
      {"LLaMA-7B", 4.01, llama(4096, 11008, 4096), 0, 4, 6, {6, 2, 6}, 4.010, 4.013},
  };
  for (const Row& row : rows) {
    INFO(row.model << " at " << row.target);
    const int bits = static_cast<int>(row.target);
    const std::vector<Index> columns = paper_budget(row.target, bits, row.layers);
    CHECK(columns[row.attention] == row.columns[0]);
    CHECK(columns[row.first] == row.columns[1]);
    CHECK(columns[row.last] == row.columns[2]);
    CHECK(counted(row.layers, columns, bits, 16 - bits) == Approx(row.believed).margin(0.00051));
    CHECK(counted(row.layers, columns, bits, 16) == Approx(row.really).margin(0.00051));
  }
}

TEST_CASE("the paper's rule shares the budget among the layers that have a share, and keeps no more than there is") {
  const std::vector<Index> all = paper_budget(3.1, 3, opt(4096));
  Layers two = opt(4096);
  for (std::size_t i = 2; i < two.size(); ++i) two[i].share = 0;
  CHECK(paper_budget(3.1, 3, two) == std::vector<Index>{190, 190, 0, 0, 0, 0});  // 4096 · 12/13 · 0.1 / 2 = 189.05
  CHECK(all[0] == 64);                                                           // 63.01
  CHECK(paper_budget(3.0, 3, opt(4096)) == std::vector<Index>(6, 0));
  CHECK(paper_budget(3.99, 3, Layers{layer(5, 1)}) == std::vector<Index>{1});  // 0.91, made even, of one column
  CHECK(paper_budget(3.99, 3, Layers{layer(5, 7, 1e300)}) == std::vector<Index>{7});
  CHECK(paper_budget(3.5, 3, {}).empty());
}

TEST_CASE("the honest rule stays within the target, and as near as whole columns allow") {
  const Layers novella = [] {
    Layers layers;
    for (int block = 0; block < 6; ++block)
      for (const BudgetLayer& one : llama(256, 512, 128)) layers.push_back(one);
    return layers;
  }();
  for (const double target : {3.07, 3.1, 3.3, 3.75, 4.0, 16.0}) {
    INFO(target);
    check_spent(target, novella, honest_budget(target, novella));
    Layers even = novella;
    for (BudgetLayer& one : even) one.share = 1;
    check_spent(target, even, honest_budget(target, even));
  }
  for (const Layers& layers : {opt(4096), llama(4096, 11008, 1024), Layers{layer(1, 4096)}, Layers{layer(4096, 1)},
                               Layers{layer(1, 1), layer(7, 3), layer(1, 900)}}) {
    const double plain = static_cast<double>(stored(layers, std::vector<Index>(layers.size(), 0))) /
                         static_cast<double>(weights_of(layers));
    for (const double more : {0.0, 1e-6, 0.01, 0.1, 1.0, 5.0})
      if (plain + more <= 16) check_spent(plain + more, layers, honest_budget(plain + more, layers));
  }
}

TEST_CASE("the honest rule spreads columns by share and width") {
  const Layers layers = {layer(512, 1024), layer(512, 2048), layer(512, 1024, 0.25), layer(512, 1024, 0)};
  const std::vector<Index> columns = honest_budget(3.4, layers);
  REQUIRE(columns[0] > 20);
  CHECK(std::abs(columns[1] - 2 * columns[0]) <= 2);
  CHECK(std::abs(columns[0] - 4 * columns[2]) <= 4);
  CHECK(columns[3] == 0);
  Layers scaled = layers;
  for (BudgetLayer& one : scaled) one.share *= 8;
  CHECK(honest_budget(3.4, scaled) == columns);
  const Layers equal(10, layer(64, 64));
  const std::vector<Index> same = honest_budget(3.6, equal);
  for (std::size_t i = 1; i < same.size(); ++i) CHECK((same[i] == same[i - 1] || same[i] + 1 == same[0]));
}

TEST_CASE("what the first outlier column costs beside itself counts once") {
  Layers layers = {layer(16, 64)};
  layers[0].first_column_bits += 64 * 32;  // a group index
  const Index plain = layers[0].plain_bits, first = layers[0].first_column_bits, next = layers[0].column_bits;
  const auto at = [&](Index bits) {
    return honest_budget(static_cast<double>(bits) / static_cast<double>(weights_of(layers)), layers)[0];
  };
  CHECK(at(plain) == 0);
  CHECK(at(plain + first - 1) == 0);
  CHECK(at(plain + first) == 1);
  CHECK(at(plain + first + next - 1) == 1);
  CHECK(at(plain + first + next) == 2);
}

TEST_CASE("budgets that make no sense are refused") {
  const Layers layers = opt(64);
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const double target : {0.0, -3.0, 1.99, 16.01, 1e300, nan, infinity}) {
    INFO(target);
    expect_error(Status::InvalidArgument, {"target_bits", "2 .. 16"}, [&] { honest_budget(target, layers); });
    expect_error(Status::InvalidArgument, {"target_bits", "2 .. 16"}, [&] { paper_budget(target, 3, layers); });
  }
  expect_error(Status::InvalidArgument, {"2.99", "alone take 3."}, [&] { honest_budget(2.99, layers); });
  expect_error(Status::InvalidArgument, {"2.99", "3 bits", "wanted 2 bits"}, [&] { paper_budget(2.99, 3, layers); });
  expect_error(Status::InvalidArgument, {"4.01", "wanted 4 bits"}, [&] { paper_budget(4.01, 3, layers); });
  for (const double share : {-0.1, nan, infinity}) {
    expect_error(Status::InvalidArgument, {"share"}, [&] { honest_budget(4, Layers{layer(4, 4, share)}); });
    expect_error(Status::InvalidArgument, {"share"}, [&] { paper_budget(3.5, 3, Layers{layer(4, 4, share)}); });
  }
  CHECK(honest_budget(3, {}).empty());
}
