// The search for binary-coded grids against trying everything, naively and in double.
#include <algorithm>
#include <cmath>

#include "halftone/backend/binary_grid.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// The grid of a group, owned.
template <class S>
struct Fit {
  Matrix<float> alphas, biases;
  Matrix<S> levels, thresholds;
  Matrix<std::uint8_t> codes;

  Fit(int bits, Index rows)
      : alphas(bits, rows),
        biases(1, rows),
        levels(1 << bits, rows),
        thresholds((1 << bits) - 1, rows),
        codes(1 << bits, rows) {}
  FittedBinary<S> views() { return {alphas, biases.data(), levels, thresholds, codes}; }
  friend bool operator==(const Fit&, const Fit&) = default;
};

template <class S>
Fit<S> fit(const Context<Cpu>& context, const BinaryCandidates& candidates, const Matrix<S>& W, const S* importance) {
  Fit<S> result(candidates.bits(), W.rows());
  fit_binary_grid<S>(context, candidates, W, importance, result.views());
  return result;
}

/// Every shape, scale and centre by plain loops: levels as stored, every weight to its cell, errors one by one.
struct NaiveSearch {
  int bits, n;
  ScaleType type;
  bool strict;

  /// Error of one candidate on w: Σ ω (q − w)².
  template <class S>
  double error(const S* w, const S* importance, Index columns, const StepVector& d, double scale, double centre) const {
    const int total = (1 << n) - 1;
    std::vector<std::pair<int, float>> levels;  // integer of step 1, stored value
    for (int code = 0; code < 1 << bits; ++code) {
      int t = 0;
      float value = 0;
      for (int i = 0; i < bits; ++i) {
        const int step = d[static_cast<std::size_t>(i)];
        const float alpha = round_stored(static_cast<float>(0.5 * scale * step), type);
        t += (code >> i & 1) * step;
        value += (code >> i & 1) != 0 ? alpha : -alpha;
      }
      levels.push_back({t, value + round_stored(static_cast<float>(scale * (0.5 * total - centre)), type)});
    }
    std::sort(levels.begin(), levels.end());
    double sum = 0;
    for (Index j = 0; j < columns; ++j) {
      const auto value = static_cast<double>(w[j]);
      double nearest = INFINITY, q = 0;
      const double t = strict ? std::clamp(std::nearbyint(value / scale + centre), 0.0, 1.0 * total) : value;
      for (const auto& [integer, level] : levels) {
        const double distance = std::abs(t - (strict ? static_cast<double>(integer) : static_cast<double>(level)));
        if (distance < nearest) {
          nearest = distance;
          q = static_cast<double>(level);
        }
      }
      sum += (importance ? static_cast<double>(importance[j]) : 1.0) * (q - value) * (q - value);
    }
    return sum;
  }

  struct Best {
    double error = INFINITY, second = INFINITY;
    StepVector d{};
    double scale = 0, centre = 0;
  };
  template <class S>
  Best best(const S* w, const S* importance, Index columns) const {
    double lo = 0, hi = 0;
    for (Index j = 0; j < columns; ++j) {
      lo = std::min(lo, static_cast<double>(w[j]));
      hi = std::max(hi, static_cast<double>(w[j]));
    }
    const int total = (1 << n) - 1;
    Best best;
    for (const StepVector& d : all_step_vectors(n, bits))
      for (int p = 20; p <= 110; p += 5)
        for (double f : {-0.2, -0.1, 0.0, 0.1, 0.2}) {
          const double scale = (hi - lo) / total * (p / 100.0);
          const double middle = 0.5 * total + f * total;
          const double centre = strict ? std::nearbyint(middle) : middle;
          const double e = error(w, importance, columns, d, scale, centre);
          if (e < best.error)
            best = {e, best.error, d, scale, centre};
          else
            best.second = std::min(best.second, e);
        }
    return best;
  }
};

/// Fits W and compares every row with the naive search. Where the naive second best is no tie, the grids must be equal.
template <class S>
void check_fit(const Context<Cpu>& context, int bits, const BinaryOptions& options, ScaleType type, const Matrix<S>& W,
               const S* importance) {
  GridOptions grid;
  grid.bits = bits;
  grid.scale_type = type;
  const BinaryCandidates candidates("test", grid, options);
  const auto found = fit(context, candidates, W, importance);
  const NaiveSearch naive{bits, options.step1_bits, type, options.strict};
  const S* const weights = options.objective == BinaryObjective::Plain ? nullptr : importance;
  for (Index r = 0; r < W.rows(); ++r) {
    CAPTURE(bits, options.step1_bits, static_cast<int>(type), options.strict, W.cols(), r);
    const auto best = naive.best(W.row(r), weights, W.cols());
    double energy = 0, error = 0;
    for (Index j = 0; j < W.cols(); ++j) {
      const double omega = weights ? static_cast<double>(weights[j]) : 1.0, w = static_cast<double>(W(r, j));
      const int level = find_level(W(r, j), found.thresholds.data() + r, W.rows(), 1 << bits);
      const double q = static_cast<double>(found.levels(level, r));
      energy += omega * w * w;
      error += omega * (q - w) * (q - w);
    }
    const double noise = 1e-12 * energy;  // sums of at most 100 terms, once by prefix sums, in double
    REQUIRE(error <= best.error + noise);
    REQUIRE(error >= best.error - noise);
    if (best.second <= best.error + noise) continue;
    for (int i = 0; i < bits; ++i)
      REQUIRE(found.alphas(i, r) ==
              round_stored(static_cast<float>(0.5 * best.scale * best.d[static_cast<std::size_t>(i)]), type));
    REQUIRE(found.biases(0, r) ==
            round_stored(static_cast<float>(best.scale * (0.5 * candidates.total() - best.centre)), type));
  }
}

template <class S>
Matrix<S> random_importance(Index columns, std::uint64_t seed) {
  Random random(seed);
  Matrix<S> importance(1, columns);
  for (Index j = 0; j < columns; ++j) importance(0, j) = static_cast<S>(std::exp(1.5 * random.normal()));
  return importance;
}

}  // namespace

TEMPLATE_TEST_CASE("the fit is the naive search's choice", "", float, double) {
  using S = TestType;
  const auto importance = random_importance<S>(70, 1);
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa);
    const Context<Cpu> context(2, *kernels);
    for (Index columns : {1, 2, 5, 33, 70})
      for (ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
        for (bool strict : {false, true}) {
          auto W = random_matrix<S>(3, columns, static_cast<std::uint64_t>(columns));
          W(2, 0) *= S(7);  // an outlier
          for (int bits : {2, 3, 4})
            check_fit<S>(context, bits, {.step1_bits = 4, .strict = strict}, type, W, importance.data());
        }
  }
}

TEST_CASE("the fit is the naive search's choice for every number of step-1 bits") {
  const Context<Cpu> context(2);
  const auto importance = random_importance<float>(40, 2);
  const auto W = random_matrix<float>(2, 40, 3);
  for (int bits : {2, 3, 4})
    for (int n = std::max(3, bits); n <= (bits == 4 ? 5 : 6); ++n)
      for (bool strict : {false, true})
        check_fit<float>(context, bits, {.step1_bits = n, .strict = strict}, ScaleType::F16, W, importance.data());
}

TEST_CASE("the fit holds for weights of any size, and where float16 is coarse") {
  const Context<Cpu> context(2);
  const auto importance = random_importance<float>(24, 4);
  for (double size : {1e-30, 1e-7, 1e-6, 1e-5, 1.0, 1e4, 1e6, 1e30}) {
    auto W = random_matrix<float>(2, 24, 5);
    for (Index i = 0; i < W.size(); ++i) W.data()[i] = static_cast<float>(size * static_cast<double>(W.data()[i]));
    CAPTURE(size);
    for (ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
      check_fit<float>(context, 3, {.step1_bits = 4}, type, W, importance.data());
  }
}

TEST_CASE("constant, zero and one-sided rows") {
  const Context<Cpu> context(1);
  Matrix<float> W(6, 17, 0.0f);  // row 0 stays zero
  for (Index j = 0; j < 17; ++j) {
    W(1, j) = 0.75f;
    W(2, j) = -3e-5f;
    W(3, j) = 1.0f + 0.1f * static_cast<float>(j);
    W(4, j) = j == 3 ? 1.0f : 0.0f;
    W(5, j) = j % 2 == 0 ? -1.0f : 1.0f;
  }
  for (bool strict : {false, true})
    for (int bits : {2, 3, 4})
      check_fit<float>(context, bits, {.step1_bits = 4, .strict = strict}, ScaleType::F16, W, nullptr);
  GridOptions grid;
  grid.bits = 3;
  const auto found = fit<float>(context, BinaryCandidates("test", grid, {}), W, nullptr);
  for (Index m = 0; m < 8; ++m) CHECK(found.levels(m, 0) == 0.0f);
}

TEST_CASE("importance: the plain objective ignores it, and zeros count as ones") {
  const Context<Cpu> context(1);
  const auto W = random_matrix<float>(4, 50, 6);
  const auto importance = random_importance<float>(50, 7);
  const Matrix<float> dead(1, 50, 0.0f);
  GridOptions grid;
  grid.bits = 3;
  const BinaryCandidates weighted("test", grid, {}), plain("test", grid, {.objective = BinaryObjective::Plain});
  const auto reference = fit<float>(context, weighted, W, nullptr);
  CHECK(fit(context, plain, W, importance.data()) == reference);
  CHECK(fit(context, weighted, W, dead.data()) == reference);
  CHECK_FALSE(fit(context, weighted, W, importance.data()) == reference);
  check_fit<float>(context, 3, {.step1_bits = 4, .objective = BinaryObjective::Plain}, ScaleType::F16, W,
                   importance.data());
}

TEST_CASE("a column of no importance does not matter, but for the range") {
  const Context<Cpu> context(1);
  auto W = random_matrix<float>(3, 20, 8);
  auto importance = random_importance<float>(20, 9);
  W(0, 3) = W(1, 3) = W(2, 3) = 0.0f;
  importance(0, 7) = importance(0, 11) = 0.0f;
  for (bool strict : {false, true})
    check_fit<float>(context, 3, {.step1_bits = 4, .strict = strict}, ScaleType::F16, W, importance.data());
}

TEMPLATE_TEST_CASE("fits are the same bytes for any number of threads and any instruction set", "", float, double) {
  using S = TestType;
  const auto W = random_matrix<S>(67, 91, 10);
  const auto importance = random_importance<S>(91, 11);
  GridOptions grid;
  for (int bits : {2, 3, 4})
    for (ScaleType type : {ScaleType::F16, ScaleType::F32}) {
      grid.bits = bits;
      grid.scale_type = type;
      const BinaryCandidates candidates("test", grid, {});
      const auto reference = fit(Context<Cpu>(1), candidates, W, importance.data());
      CHECK(fit(Context<Cpu>(3), candidates, W, importance.data()) == reference);
      for (const auto* kernels : every_kernels())
        CHECK(fit(Context<Cpu>(2, *kernels), candidates, W, importance.data()) == reference);
      for (Index r : {0, 40, 66}) {  // a row alone
        const Matrix<S> alone(MatrixView<const S>(W.view().middle_rows(r, 1)));
        const auto one = fit(Context<Cpu>(1), candidates, alone, importance.data());
        for (Index m = 0; m < 1 << bits; ++m) REQUIRE(one.levels(m, 0) == reference.levels(m, r));
      }
    }
}

TEST_CASE("the fast shapes are never better than all") {
  const Context<Cpu> context(2);
  const auto W = random_matrix<float>(20, 64, 12);
  GridOptions grid;
  grid.bits = 3;
  const auto error = [&](BinaryShapes shapes) {
    const auto found = fit<float>(context, BinaryCandidates("test", grid, {.shapes = shapes}), W, nullptr);
    double sum = 0;
    for (Index r = 0; r < W.rows(); ++r)
      for (Index j = 0; j < W.cols(); ++j) {
        const int level = find_level(W(r, j), found.thresholds.data() + r, W.rows(), 8);
        sum += std::pow(static_cast<double>(found.levels(level, r) - W(r, j)), 2);
      }
    return sum;
  };
  const double all = error(BinaryShapes::All), fast = error(BinaryShapes::Fast);
  CHECK(fast >= all);
  CHECK(fast < 1.1 * all);  // measured: 1.02
}

TEST_CASE("fits do not end in a crash on weights that are not finite") {
  const Context<Cpu> context(1);
  GridOptions grid;
  grid.bits = 2;
  const BinaryCandidates candidates("test", grid, {});
  auto W = random_matrix<float>(3, 9, 13);
  const auto finite = fit<float>(context, candidates, W, nullptr);
  W(0, 4) = NAN;
  W(2, 2) = INFINITY;
  const auto found = fit<float>(context, candidates, W, nullptr);
  for (Index m = 0; m < 4; ++m) CHECK(found.levels(m, 1) == finite.levels(m, 1));  // other rows do not suffer
}

TEST_CASE("the fit refuses outputs of other shapes") {
  const Context<Cpu> context(1);
  GridOptions grid;
  grid.bits = 3;
  const BinaryCandidates candidates("test", grid, {});
  Fit<float> result(2, 4);
  CHECK_THROWS_WITH(fit_binary_grid<float>(context, candidates, Matrix<float>(4, 5, 1.0f), nullptr, result.views()),
                    Catch::Contains("fit_binary_grid") && Catch::Contains("wanted 3 x 4"));
}
