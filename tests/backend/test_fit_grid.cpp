// fit_uniform_grid against a naive search in double, and x^2.4 against the C library.
#include "halftone/backend/leaf/table.hpp"
#include "halftone/backend/quantize.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Cell {
  double scale = 0, zero = 0, error = 0;
  double exact_zero = 0;  ///< zero before it was rounded
};

/// Σ |decode(encode(w)) − w|^2.4, or Σ h (…)², in double.
double naive_error(const std::vector<double>& w, const std::vector<double>& h, const GridOptions& options, double scale,
                   double zero) {
  double sum = 0;
  for (std::size_t c = 0; c < w.size(); ++c) {
    const double e =
        std::abs(decode(encode(w[c], scale, zero, static_cast<double>(options.top())), scale, zero) - w[c]);
    sum += options.search == GridSearch::L24 ? std::pow(e, 2.4) : (h.empty() ? 1.0 : h[c]) * e * e;
  }
  return sum;
}

/// Section 3 of GPTQ and the searches, word by word.
Cell naive_fit(const std::vector<double>& w, const std::vector<double>& h, const GridOptions& options) {
  const double top = options.top(), least = options.minimum_zero;
  double lo = 0, hi = 0;
  for (double x : w) lo = std::min(lo, x), hi = std::max(hi, x);
  if (options.symmetric) hi = std::max(hi, -lo), lo = -hi;
  if (lo == 0 && hi == 0) lo = -1, hi = 1;
  Cell best;
  bool first = true;
  const int steps = options.search == GridSearch::MinMax ? 1 : 40;
  for (int i = 0; i < steps; ++i) {
    const double p = 1 - i / 50.0, scale = round_scale((hi - lo) * p / top, options.scale_type);
    const double center =
        options.symmetric ? std::ldexp(1.0, options.bits - 1) : std::clamp(std::nearbyint(-lo * p / scale), least, top);
    const int reach = options.symmetric || steps == 1 ? 0 : 1;
    for (int k = -reach; k <= reach; ++k) {
      const double zero = std::clamp(center + k, options.symmetric ? 0.0 : least, top);
      const Cell cell{scale, zero, naive_error(w, h, options, scale, zero), -lo * p / scale};
      if (first || cell.error < best.error) best = cell;
      first = false;
    }
  }
  return best;
}

template <class S>
std::vector<double> row_of(const Matrix<S>& W, Index row) {
  return std::vector<double>(W.row(row), W.row(row) + W.cols());
}

template <class S>
void check_fit(const Context<Cpu>& context, const Matrix<S>& W, const std::vector<S>& importance,
               const GridOptions& options) {
  const std::vector<double> h(importance.begin(), importance.end());
  std::vector<S> scales(static_cast<std::size_t>(W.rows())), zeros(scales.size());
  fit_uniform_grid<S>(context, W, importance.empty() ? nullptr : importance.data(), options, scales.data(),
                      zeros.data());
  for (Index r = 0; r < W.rows(); ++r) {
    CAPTURE(r);
    const auto w = row_of(W, r);
    const Cell best = naive_fit(w, h, options);
    const double scale = scales[static_cast<std::size_t>(r)], zero = zeros[static_cast<std::size_t>(r)];
    if (options.search == GridSearch::MinMax) {
      // Where −lo / scale is a half in S's rounding, either neighbour is right.
      if (!options.symmetric)
        CHECK(std::abs(zero - std::max<double>(options.minimum_zero, best.exact_zero)) < 0.5 + 2e-3);
      if (options.symmetric) CHECK(zero == best.zero);
      CHECK(std::abs(scale - best.scale) <= 1e-3 * best.scale);  // a stored value next to it, where S rounds otherwise
    } else {
      // Sums in S may take the second of two nearly equal choices; its error is then the same to S's rounding.
      const double error = naive_error(w, h, options, scale, zero);
      CHECK(error <= best.error * (1 + (sizeof(S) == 4 ? 2e-5 : 1e-12)) + 1e-30);
    }
    CHECK(scale == static_cast<double>(round_scale(static_cast<float>(scale), options.scale_type)));
    CHECK(zero >= options.minimum_zero);
    CHECK(zero <= options.top());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("fit_uniform_grid equals the naive search", "", float, double) {
  using S = TestType;
  for (const auto* kernels : every_kernels()) {
    CAPTURE(kernels->isa);
    const Context<Cpu> context(2, *kernels);
    for (const auto& [rows, columns] : {std::pair<Index, Index>{1, 1}, {3, 5}, {7, 16}, {5, 33}, {4, 130}}) {
      auto W = random_matrix<S>(rows, columns, 11);
      W(0, 0) *= S(5);                                            // an outlier
      for (Index c = 0; c < columns; ++c) W(rows / 2, c) = S(0);  // a row of zeros
      if (rows > 3)
        for (Index c = 0; c < columns; ++c) W(3, c) = S(0.5);  // constant, nothing negative
      std::vector<S> importance;
      for (Index c = 0; c < columns; ++c) importance.push_back(static_cast<S>(1 + c % 7));
      for (int bits : {2, 3, 4, 8})
        for (bool symmetric : {false, true})
          for (GridSearch search : {GridSearch::MinMax, GridSearch::L24, GridSearch::Hessian}) {
            CAPTURE(rows, columns, bits, symmetric, static_cast<int>(search));
            GridOptions options;
            options.bits = bits;
            options.symmetric = symmetric;
            options.search = search;
            check_fit<S>(context, W, importance, options);
            options.scale_type = bits == 4 ? ScaleType::BF16 : ScaleType::F32;
            options.minimum_zero = symmetric ? 0 : 1;
            check_fit<S>(context, W, {}, options);
          }
    }
  }
}

TEST_CASE("fit_uniform_grid: scales at the ends of their type") {
  const Context<Cpu> context(1);
  GridOptions options;
  const auto fit = [&](float low, float high) {
    const float w[2] = {low, high};
    std::pair<float, float> cell;
    fit_uniform_grid<float>(context, {w, 1, 2}, nullptr, options, &cell.first, &cell.second);
    return cell;
  };
  for (GridSearch search : {GridSearch::MinMax, GridSearch::L24, GridSearch::Hessian}) {
    options.search = search;
    options.scale_type = ScaleType::F16;
    CHECK(fit(0, 1e-12f).first == 0x1p-24f);
    CHECK(fit(-3e38f, 0).first == 65504.0f);
    options.scale_type = ScaleType::F32;
    CHECK(fit(-1e-45f, 0).first > 0);
    CHECK(std::isfinite(fit(0, 3e38f).first));
    const auto flat = fit(0, 0);  // -1 to 1
    CHECK(flat.first * 15 > 0.4f);
    CHECK(flat.first * 15 < 2.1f);
    CHECK(decode(encode(0.0f, flat.first, flat.second, 15.0f), flat.first, flat.second) == 0);
  }
}

TEMPLATE_TEST_CASE("fit_uniform_grid gives the same bytes for any number of threads", "", float, double) {
  using S = TestType;
  const auto W = random_matrix<S>(1500, 70, 12);
  GridOptions options;
  options.search = GridSearch::L24;
  std::vector<S> scales(1500), zeros(1500), other_scales(1500), other_zeros(1500);
  fit_uniform_grid<S>(Context<Cpu>(1), W, nullptr, options, scales.data(), zeros.data());
  fit_uniform_grid<S>(Context<Cpu>(3), W, nullptr, options, other_scales.data(), other_zeros.data());
  CHECK(scales == other_scales);
  CHECK(zeros == other_zeros);
}

TEST_CASE("power_2_4 is x^2.4 to 1e-6") {
  using namespace halftone::detail::HALFTONE_LEAF;
  double worst = 0;
  for (float x = 0x1p-16f; x < 0x1p11f; x *= 1.00037f) {
    const double power = static_cast<double>(power_2_4(Vector<float>{} + x)[0]);
    const double exact = std::pow(static_cast<double>(x), 2.4);
    worst = std::max(worst, std::abs(power - exact) / exact);
  }
  CHECK(worst < 1e-6);
  CHECK(power_2_4(Vector<float>{} + 0.0f)[0] == 0.0f);
  CHECK(std::abs(power_2_4(Vector<double>{} + 1.7)[0] - std::pow(1.7, 2.4)) < 1e-14);
}
