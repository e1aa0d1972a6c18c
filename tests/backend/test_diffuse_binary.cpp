// The column loop on binary-coded grids: against its definition in plain loops, and against uniform grids.
#include <cmath>

#include "halftone/backend/quantize.hpp"
#include "halftone/quant/binary_grid.hpp"
#include "halftone/quant/quantized_matrix.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A block with binary-coded grids of three groups of 5 columns, in an order that jumps back.
template <class S>
struct Problem {
  int bits;
  Index rows, width;
  Matrix<S> W, U;
  Matrix<float> alphas, biases;  // [groups · bits, rows], [groups, rows]
  Matrix<S> levels, thresholds;
  Matrix<std::uint8_t> codes;
  std::vector<std::int32_t> groups;

  Problem(int k, Index row_count, Index column_count)
      : bits(k),
        rows(row_count),
        width(column_count),
        alphas(3 * k, rows),
        biases(3, rows),
        levels(3 << k, rows),
        thresholds((3 << k) - 3, rows),
        codes(3 << k, rows) {
    W = random_matrix<S>(rows, width, 31);
    U = random_matrix<S>(width, width, 32);
    for (Index i = 0; i < width; ++i)
      for (Index j = 0; j < width; ++j) U(i, j) = i == j ? S(1) + std::abs(U(i, j)) : U(i, j) / S(4 + width);
    for (Index j = 0; j < width; ++j) groups.push_back(static_cast<std::int32_t>((j / 5) % 3));
    Random random(33);
    for (Index r = 0; r < rows; ++r)
      for (Index g = 0; g < 3; ++g) {
        for (int i = 0; i < k; ++i)  // every seventh row has two equal planes: levels that coincide
          alphas(g * k + i, r) = i > 0 && r % 7 == 6 ? alphas(g * k + i - 1, r)
                                                     : static_cast<float>(std::ldexp(0.7 + 0.3 * random.uniform(), -i));
        biases(g, r) = static_cast<float>(0.2 * random.normal());
        set_levels(g, r);
      }
  }
  void set_levels(Index g, Index r) {
    const int count = 1 << bits;
    float ascending[16];
    std::uint8_t level_codes[16];
    ascending_levels(&alphas(g * bits, r), alphas.cols(), biases(g, r), bits, ascending, level_codes);
    for (int m = 0; m < count; ++m) {
      levels(g * count + m, r) = static_cast<S>(ascending[m]);
      codes(g * count + m, r) = level_codes[m];
      if (m > 0)
        thresholds(g * (count - 1) + m - 1, r) =
            threshold_between(static_cast<S>(ascending[m - 1]), static_cast<S>(ascending[m]));
    }
  }
  BinaryCells<S> cells() const { return {levels, thresholds, codes, groups.data(), bits}; }
};

template <class S>
struct Result {
  Matrix<S> W, E;
  Matrix<std::uint8_t> codes;
  friend bool operator==(const Result&, const Result&) = default;
};

/// Nearest level of row r at column j, by trying every code; of equal distances the lower value, then the first code.
template <class S>
std::pair<unsigned, S> nearest(const Problem<S>& problem, Index r, Index j, S w) {
  const Index g = problem.groups[static_cast<std::size_t>(j)];
  unsigned chosen = 0;
  S best = 0;
  for (unsigned code = 0; code < 1u << problem.bits; ++code) {
    const auto value = static_cast<S>(decode_binary(code, &problem.alphas(g * problem.bits, r), problem.alphas.cols(),
                                                    problem.biases(g, r), problem.bits));
    const S distance = std::abs(w - value), least = std::abs(w - best);
    if (code == 0 || distance < least || (distance == least && value < best)) {
      chosen = code;
      best = value;
    }
  }
  return {chosen, best};
}

template <class S>
Result<S> naive_diffuse(const Problem<S>& problem) {
  Result<S> result{problem.W, problem.W, Matrix<std::uint8_t>(problem.rows, problem.width)};
  for (Index r = 0; r < problem.rows; ++r)
    for (Index j = 0; j < problem.width; ++j) {
      const auto [code, q] = nearest(problem, r, j, result.W(r, j));
      const S e = (result.W(r, j) - q) / problem.U(j, j);
      result.codes(r, j) = static_cast<std::uint8_t>(code);
      result.E(r, j) = e;
      result.W(r, j) = q;
      for (Index c = j + 1; c < problem.width; ++c) result.W(r, c) -= e * problem.U(j, c);
    }
  return result;
}

template <class S>
Result<S> fast_diffuse(const Context<Cpu>& context, const Problem<S>& problem) {
  Result<S> result{problem.W, problem.W, Matrix<std::uint8_t>(problem.rows, problem.width)};
  diffuse_block<S>(context, problem.cells(), problem.U, result.W, result.E, result.codes);
  return result;
}

}  // namespace

TEMPLATE_TEST_CASE("round_block takes the nearest of all binary codes", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels())
    for (int bits : {2, 3, 4}) {
      CAPTURE(kernels->isa, bits);
      const Problem<S> problem(bits, 37, 23);
      auto W = problem.W;
      Matrix<std::uint8_t> codes(37, 23);
      round_block<S>(Context<Cpu>(2, *kernels), problem.cells(), W, codes);
      for (Index r = 0; r < 37; ++r)
        for (Index j = 0; j < 23; ++j) {
          const auto [code, value] = nearest(problem, r, j, problem.W(r, j));
          REQUIRE(W(r, j) == value);
          if (r % 7 != 6) REQUIRE(codes(r, j) == code);  // coinciding levels have several codes
          const Index g = problem.groups[static_cast<std::size_t>(j)];
          REQUIRE(static_cast<S>(decode_binary(codes(r, j), &problem.alphas(g * bits, r), problem.alphas.cols(),
                                               problem.biases(g, r), bits)) == value);
        }
    }
}

TEMPLATE_TEST_CASE("diffuse_block on binary-coded grids equals the loop of the paper", "", float, double) {
  using S = TestType;
  const double tolerance = sizeof(S) == 4 ? 1e-4 : 1e-12;
  for (const auto* kernels : every_kernels())
    for (int bits : {2, 3, 4})
      for (const auto& [rows, width] :
           {std::pair<Index, Index>{1, 1}, {1, 9}, {33, 8}, {7, 130}, {257, 40}, {64, 128}}) {
        CAPTURE(kernels->isa, bits, rows, width);
        const Problem<S> problem(bits, rows, width);
        const auto expected = naive_diffuse(problem), result = fast_diffuse(Context<Cpu>(2, *kernels), problem);
        Index differing = 0;  // a row may differ from a rounding tie on, where contraction rounds otherwise
        for (Index r = 0; r < rows; ++r) {
          bool same = true;
          for (Index j = 0; j < width; ++j)
            same = same && std::abs(result.W(r, j) - expected.W(r, j)) < tolerance &&
                   std::abs(result.E(r, j) - expected.E(r, j)) < tolerance;
          differing += !same;
        }
        CHECK(differing <= rows / 200);
      }
}

TEMPLATE_TEST_CASE("steps of 1, 2, 4, ... are the uniform grid: same values, same codes in reverse", "", float,
                   double) {
  using S = TestType;
  const Index rows = 70, width = 50;
  for (int bits : {2, 3, 4}) {
    Problem<S> problem(bits, rows, width);
    UniformGrid uniform{bits, false, 5, DType::F16, Matrix<float>(rows, 3), Matrix<std::uint8_t>(rows, 3)};
    Matrix<S> scales(3, rows), zeros(3, rows);
    Random random(34);
    for (Index r = 0; r < rows; ++r)
      for (Index g = 0; g < 3; ++g) {
        uniform.scales(r, g) = static_cast<float>(Float16(static_cast<float>(0.2 + 0.5 * random.uniform())));
        uniform.zeros(r, g) = static_cast<std::uint8_t>(random.below(static_cast<std::uint64_t>(1 << bits)));
        scales(g, r) = static_cast<S>(uniform.scales(r, g));
        zeros(g, r) = static_cast<S>(uniform.zeros(r, g));
      }
    const BinaryGrid binary = to_binary(uniform);
    for (Index r = 0; r < rows; ++r)
      for (Index g = 0; g < 3; ++g) {
        for (int i = 0; i < bits; ++i) problem.alphas(g * bits + i, r) = binary.alphas(r, g * bits + i);
        problem.biases(g, r) = binary.biases(r, g);
        problem.set_levels(g, r);
      }
    const UniformCells<S> cells{scales, zeros, problem.groups.data(), static_cast<S>((1 << bits) - 1)};
    const Context<Cpu> context(2);
    Result<S> expected{problem.W, problem.W, Matrix<std::uint8_t>(rows, width)};
    diffuse_block<S>(context, cells, problem.U, expected.W, expected.E, expected.codes);
    const auto result = fast_diffuse(context, problem);
    CHECK(result.W == expected.W);
    CHECK(result.E == expected.E);
    for (Index i = 0; i < rows * width; ++i)
      REQUIRE(result.codes.data()[i] == binary_code(expected.codes.data()[i], bits));
  }
}

TEMPLATE_TEST_CASE("diffuse_block on binary-coded grids: same bytes for any number of threads", "", float, double) {
  using S = TestType;
  for (int bits : {2, 3, 4}) {
    const Problem<S> problem(bits, 1000, 96);
    CHECK(fast_diffuse(Context<Cpu>(1), problem) == fast_diffuse(Context<Cpu>(3), problem));
  }
}

TEST_CASE("diffuse_block refuses binary cells that do not fit") {
  const Problem<float> problem(3, 4, 6);
  Matrix<float> W = problem.W;
  Matrix<std::uint8_t> codes(4, 6);
  auto cells = problem.cells();
  cells.bits = 5;
  CHECK_THROWS_WITH(round_block<float>(Context<Cpu>(1), cells, W, codes), Catch::Contains("cells have 5 bits"));
  cells = problem.cells();
  cells.thresholds = problem.thresholds.view().middle_rows(0, 20);
  CHECK_THROWS_WITH(round_block<float>(Context<Cpu>(1), cells, W, codes),
                    Catch::Contains("round_block: thresholds is 20 x 4, wanted 21 x 4"));
}
