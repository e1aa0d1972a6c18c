// Codes of whole solves, CPU beside device: the first in which a row differs must come from a number at a tie. What
// follows in that row is another problem.
#include "halftone/solver/cuda_quantizer.hpp"
#include "halftone/solver/target.hpp"
#include "support.hpp"
#include "two_streams.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Context<Cpu> cpu(1);
constexpr double tie = 1e-3;  // in steps: the distance of the two values

Matrix<double> widened(const Matrix<float>& A) {
  Matrix<double> out(A.rows(), A.cols());
  for (Index i = 0; i < A.size(); ++i) out.data()[i] = static_cast<double>(A.data()[i]);
  return out;
}

/// The column loop of static grids in double, along codes that are given: V_p before it is rounded.
class Replay {
 public:
  Replay(const InputStatistics<float>& sums, double damping, bool act_order, double alpha)
      : statistics_(InputStatistics<double>::from_sums(cpu, sums.tokens(), widened(sums.second_moments()),
                                                       widened(sums.cross_moments()))) {
    InputDiagonal diagonal = input_diagonal("replay", statistics_);
    order_ = act_order ? descending_order(diagonal.values) : natural_order(sums.width());
    const auto moments = factor_moments(statistics_, std::move(diagonal), order_, damping);
    U_ = moments.factor;
    P_ = Matrix<double>(U_.rows(), U_.cols(), 0.0);
    if (alpha == 0) return;
    const Matrix<double> T = second_update_matrix(moments, statistics_.cross_sums());
    gemm<double>(cpu, Transpose::No, Transpose::No, alpha, T.view(), std::as_const(U_).view(), 0, P_.view());
  }

  /// Column in which row r of the two first differs, and how far the number there is from the middle of both values, in
  /// their distance. Column −1: the row is the same.
  struct First {
    Index column = -1;
    double off = 0;
  };
  First first_difference(const float* W, const float* here, const float* there, const std::uint8_t* a,
                         const std::uint8_t* b) const {
    const Index n = U_.rows();
    std::vector<double> V;
    for (const std::int32_t column : order_) V.push_back(static_cast<double>(W[column]));
    for (Index p = 0; p < n; ++p) {
      const std::int32_t column = order_[static_cast<std::size_t>(p)];
      const double v = V[static_cast<std::size_t>(p)], q = static_cast<double>(here[column]),
                   other = static_cast<double>(there[column]);
      if (a[column] != b[column]) return {column, std::abs(v - (q + other) / 2) / std::abs(q - other)};
      const double e = (v - q) / U_(p, p);
      for (Index c = p; c < n; ++c) V[static_cast<std::size_t>(c)] += v * P_(p, c) - e * U_(p, c);
    }
    return {};
  }

 private:
  InputStatistics<double> statistics_;
  std::vector<std::int32_t> order_;
  Matrix<double> U_, P_;
};

struct Rows {
  Index differing = 0, unexplained = 0;
};
Rows compare(const Replay& replay, const Matrix<float>& W, const QuantizedMatrix& a, const QuantizedMatrix& b) {
  const Matrix<float> here = dequantize(a), there = dequantize(b);
  Rows rows;
  for (Index r = 0; r < W.rows(); ++r) {
    const auto first = replay.first_difference(W.row(r), here.row(r), there.row(r), a.codes.row(r), b.codes.row(r));
    if (first.column < 0) continue;
    ++rows.differing;
    if (first.off > tie) ++rows.unexplained;
  }
  return rows;
}

struct Case {
  const char* method;
  OptionMap options;
  bool act_order;
  double alpha;
};
const Case cases[] = {
    {"gptq", {{"bits", "4"}, {"group_size", "32"}}, false, 0},
    {"gptq", {{"bits", "2"}, {"group_size", "-1"}, {"act_order", "true"}}, true, 0},
    {"owq", {{"bits", "3"}, {"group_size", "-1"}, {"outlier_columns", "0"}, {"act_order", "false"}}, false, 0},
    {"gptqv2", {{"bits", "3"}, {"group_size", "32"}, {"fallback", "false"}}, false, 0.25},
    {"gptqv2",
     {{"bits", "3"}, {"group_size", "-1"}, {"fallback", "false"}, {"act_order", "true"}, {"alpha", "1"}},
     true,
     1},
    {"gptqt", {{"bits", "3"}, {"group_size", "-1"}, {"act_order", "false"}}, false, 0},
};

}  // namespace

TEST_CASE("codes of a solve begin to differ only where the CPU's number is at a tie") {
  HALFTONE_DEVICE_CASE(context);
  const Index width = 272;
  const auto sums = full_statistics(cpu, width, 1200, 11);
  const auto W = random_matrix<float>(160, width, 12, 0.05);
  Index differing = 0, rows = 0;
  for (const Case& point : cases) {
    CAPTURE(point.method, point.act_order);
    const auto here = make_quantizer(cpu, point.method, point.options);
    const auto there = make_quantizer(context, point.method, point.options);
    const Replay replay(sums, 0.01, point.act_order, point.alpha);
    const QuantizedMatrix a = here->quantize(W, sums), b = there->quantize(W, sums);
    REQUIRE(a.report.damping == 0.01);
    const Rows found = compare(replay, W, a, b);
    CHECK(found.unexplained == 0);
    differing += found.differing;
    rows += W.rows();
  }
  std::printf("solves: %lld of %lld rows began to differ, each at a tie\n", static_cast<long long>(differing),
              static_cast<long long>(rows));
}

TEST_CASE("what tells ties from differences does so") {
  const Index width = 80;
  const auto sums = full_statistics(cpu, width, 500, 13);
  for (const Case& point : cases) {
    CAPTURE(point.method, point.act_order);
    auto W = random_matrix<float>(40, width, 14, 0.05);
    const auto quantizer = make_quantizer(cpu, point.method, point.options);
    const Replay replay(sums, 0.01, point.act_order, point.alpha);
    const QuantizedMatrix solved = quantizer->quantize(W, sums);
    CHECK(compare(replay, W, solved, solved).differing == 0);

    // Any other code is found, and but for a few numbers none was at a tie.
    const auto moved = [&](QuantizedMatrix& matrix, Index r, Index column) {
      std::uint8_t& code = matrix.codes(r, column);
      code = static_cast<std::uint8_t>(code == 0 ? 1 : code - 1);
    };
    QuantizedMatrix wrong = solved;
    for (Index r = 0; r < W.rows(); ++r) moved(wrong, r, (7 * r) % width);
    const Rows found = compare(replay, W, solved, wrong);
    CHECK(found.differing == W.rows());
    CHECK(found.unexplained > W.rows() * 9 / 10);

    // The number of the first column put in the middle of two values: either code is right.
    const InputDiagonal diagonal = input_diagonal("test", sums);
    const Index first = point.act_order ? descending_order(diagonal.values).front() : 0;
    QuantizedMatrix beside = solved;
    moved(beside, 0, first);
    W(0, first) = 0.5f * (dequantize(solved)(0, first) + dequantize(beside)(0, first));
    const Rows at_tie = compare(replay, W, solved, beside);
    CHECK(at_tie.differing == 1);
    CHECK(at_tie.unexplained == 0);
  }
}
