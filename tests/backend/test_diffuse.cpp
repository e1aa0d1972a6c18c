// diffuse_block and round_block against the loop of the paper in plain double arithmetic.
#include "halftone/backend/quantize.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A block with its grids; groups of 5 columns, in an order that jumps back.
template <class S>
struct Problem {
  Index rows, width;
  Matrix<S> W, U, T, sums, scales, zeros;
  std::vector<std::int32_t> groups;
  S top = 7;

  Problem(Index row_count, Index column_count) : rows(row_count), width(column_count) {
    W = random_matrix<S>(rows, width, 21);
    U = random_matrix<S>(width, width, 22);
    T = random_matrix<S>(width, width, 23);
    sums = random_matrix<S>(rows, width, 25);
    for (Index i = 0; i < width; ++i)
      for (Index j = 0; j < width; ++j) {
        U(i, j) = i == j ? S(1) + std::abs(U(i, j)) : U(i, j) / S(4 + width);
        T(i, j) = T(i, j) / S(4 + width);
      }
    for (Index j = 0; j < width; ++j) groups.push_back(static_cast<std::int32_t>((j / 5) % 3));
    scales = random_matrix<S>(3, rows, 24);
    zeros = Matrix<S>(3, rows);
    for (Index i = 0; i < 3 * rows; ++i) {
      scales.data()[i] = S(0.2) + std::abs(scales.data()[i]) / S(4);
      zeros.data()[i] = static_cast<S>(2 + i % 4);
    }
  }
  UniformCells<S> cells() const { return {scales, zeros, groups.data(), top}; }
};

template <class S>
struct Result {
  Matrix<S> W, E, before;
  Matrix<std::uint8_t> codes;
};

/// Algorithm 1 of 2210.17323, element by element in S; with GPTQv2's second update, which comes in with `sums`.
template <class S>
Result<S> naive_diffuse(const Problem<S>& problem, bool second) {
  Result<S> result{problem.W, Matrix<S>(problem.rows, problem.width), Matrix<S>(problem.rows, problem.width),
                   Matrix<std::uint8_t>(problem.rows, problem.width)};
  Matrix<S> sums = problem.sums;
  for (Index r = 0; r < problem.rows; ++r)
    for (Index j = 0; j < problem.width; ++j) {
      const Index g = problem.groups[static_cast<std::size_t>(j)];
      const S unmoved = result.W(r, j), scale = problem.scales(g, r), zero = problem.zeros(g, r);
      const S w = second ? unmoved + S(0.5) * sums(r, j) * problem.U(j, j) : unmoved;
      const S code = encode(w, scale, zero, problem.top), q = decode(code, scale, zero);
      const S e = (unmoved - q) / problem.U(j, j);
      result.codes(r, j) = static_cast<std::uint8_t>(code);
      result.before(r, j) = w;
      result.E(r, j) = e;
      result.W(r, j) = q;
      for (Index c = j + 1; c < problem.width; ++c) {
        result.W(r, c) -= e * problem.U(j, c);
        sums(r, c) += w * problem.T(j, c);
      }
    }
  return result;
}

template <class S>
Result<S> fast_diffuse(const Context<Cpu>& context, const Problem<S>& problem, bool second) {
  Result<S> result{problem.W, Matrix<S>(problem.rows, problem.width), Matrix<S>(problem.rows, problem.width, S(0)),
                   Matrix<std::uint8_t>(problem.rows, problem.width)};
  SecondUpdate<S> update;
  if (second) update = {problem.T, S(0.5), problem.sums, result.before};
  diffuse_block<S>(context, problem.cells(), problem.U, result.W, result.E, result.codes, update);
  return result;
}

/// A row in which one value lay on a rounding tie may differ from there on, where contraction rounds otherwise.
template <class S>
Index rows_that_differ(const Result<S>& a, const Result<S>& b, bool before, double tolerance) {
  Index differing = 0;
  for (Index r = 0; r < a.W.rows(); ++r) {
    bool same = true;
    for (Index j = 0; j < a.W.cols(); ++j) {
      same = same && a.codes(r, j) == b.codes(r, j) && std::abs(a.W(r, j) - b.W(r, j)) < tolerance &&
             std::abs(a.E(r, j) - b.E(r, j)) < tolerance;
      if (before) same = same && std::abs(a.before(r, j) - b.before(r, j)) < tolerance;
    }
    differing += !same;
  }
  return differing;
}

}  // namespace

TEMPLATE_TEST_CASE("diffuse_block equals the loop of the paper", "", float, double) {
  using S = TestType;
  const double tolerance = sizeof(S) == 4 ? 1e-4 : 1e-12;
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa);
    const Context<Cpu> context(2, *kernels);
    for (const auto& [rows, width] : {std::pair<Index, Index>{1, 1}, {1, 9}, {33, 8}, {7, 130}, {257, 40}, {64, 128}})
      for (bool second : {false, true}) {
        CAPTURE(rows, width, second);
        const Problem<S> problem(rows, width);
        const auto expected = naive_diffuse(problem, second);
        const auto result = fast_diffuse(context, problem, second);
        CHECK(rows_that_differ(result, expected, second, tolerance) <= rows / 200);
      }
  }
}

TEMPLATE_TEST_CASE("round_block rounds every element to its cell", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels()) {
    const Problem<S> problem(37, 23);
    auto W = problem.W;
    Matrix<std::uint8_t> codes(37, 23);
    round_block<S>(Context<Cpu>(2, *kernels), problem.cells(), W, codes);
    for (Index r = 0; r < 37; ++r)
      for (Index j = 0; j < 23; ++j) {
        const Index g = problem.groups[static_cast<std::size_t>(j)];
        const S code = encode(problem.W(r, j), problem.scales(g, r), problem.zeros(g, r), problem.top);
        REQUIRE(static_cast<S>(codes(r, j)) == code);
        REQUIRE(W(r, j) == decode(code, problem.scales(g, r), problem.zeros(g, r)));
      }
  }
}

TEST_CASE("values far outside the grid are clamped, halves go to even") {
  const float scales[1] = {0.5f}, zeros[1] = {4.0f};
  const std::vector<std::int32_t> groups(6, 0);
  float values[6] = {1e30f, -1e30f, 0.25f, 0.75f, -0.25f, 0.0f};
  std::uint8_t codes[6];
  const UniformCells<float> cells{{scales, 1, 1}, {zeros, 1, 1}, groups.data(), 15.0f};
  round_block<float>(Context<Cpu>(1), cells, {values, 1, 6}, {codes, 1, 6});
  const std::uint8_t expected[6] = {15, 0, 4, 6, 4, 4};
  for (int i = 0; i < 6; ++i) CHECK(codes[i] == expected[i]);
}

TEMPLATE_TEST_CASE("diffuse_block gives the same bytes for any number of threads", "", float, double) {
  using S = TestType;
  const Problem<S> problem(1000, 96);
  const auto one = fast_diffuse(Context<Cpu>(1), problem, true);
  const auto three = fast_diffuse(Context<Cpu>(3), problem, true);
  CHECK(one.W == three.W);
  CHECK(one.E == three.E);
  CHECK(one.before == three.before);
  CHECK(one.codes == three.codes);
}

TEST_CASE("diffuse_block refuses shapes that do not fit") {
  const Problem<float> problem(4, 6);
  Matrix<float> W = problem.W, E(4, 5);
  Matrix<std::uint8_t> codes(4, 6);
  CHECK_THROWS_WITH(diffuse_block<float>(Context<Cpu>(1), problem.cells(), problem.U, W, E, codes),
                    Catch::Contains("diffuse_block: E is 4 x 5, wanted 4 x 6"));
}
