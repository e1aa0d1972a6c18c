// SignRound (arXiv 2309.05516), the quantiser of arXiv 2411.03934. W stays; trained are an offset V of each weight and
// two factors of each group's range [lo, hi]:
//
//   wmin = α lo,  wmax = β hi,  s = (wmax − wmin) / Q, as stored,  z = round(−wmin / s)
//   t = round(W / s + V) + z,   q = clip(t, 0, Q),   value = s (q − z),   in = [0 <= t <= Q], out = 1 − in
//   dV = g s in
//   ds = Σ g (in ((q − z) − W / s) + out ((q − z) − wmin / s))
//   dα = lo (−ds / Q + Σ g out),   dβ = hi ds / Q
//
// Groups whose grid is plain rounding's start from lo = min(W, 0) and hi = max(W, 0), and their factors stay in [0, 1],
// as in the paper. Others start from the range of their grid, lo = −s z and hi = s (Q − z), which may double. Where a
// code is not what plain rounding gives, V starts beyond ± 1/2. Symmetric grids keep z; one factor ρ is trained:
// s = ρ s0, dρ = s0 Σ g (in ((q − z) − W / s) + out (q − z)).
#pragma once

#include "tune/uniform.hpp"

namespace halftone::tune {

/// Range of a group: lo = −unit · zero, hi = unit · (Q − zero); zero is a real number.
struct Range {
  float unit = 0, zero = 0, most = 2;  // most: bound of the factors
};
struct ScaleAndZero {
  float scale, zero;
};

template <class Backend>
struct SignRoundRows {
  UniformRows<Backend> grid;
  const float* W;                  ///< [out, in]
  Range* ranges;                   ///< [out, groups]
  float *offsets, *gradients;      ///< [out, in] V
  float *lower, *lower_gradients;  ///< [out, groups] α or ρ
  float *upper, *upper_gradients;  ///< [out, groups] β; null: symmetric
  float lowest_zero;
  ScaleType type;

  template <class Team>
  HALFTONE_HOST_DEVICE void start(const Team& team, Index r, Index g, const float* target, float margin) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top;
    const Range range = first_range(team, r, g, target);
    by_one(team, [&] { ranges[r * grid.groups + g] = range; });
    const std::uint8_t* const codes = grid.codes_of(r);
    float* const V = offsets + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      each_column(team, run, [&](Index j) {
        const float steps = in_steps(target[j], scale);
        V[j] = start_in_cell(steps, zero, top, static_cast<float>(codes[j]), margin) - steps;
      });
    });
  }

  HALFTONE_HOST_DEVICE void encode_group(Index r, Index g) const {
    const Index at = r * grid.groups + g;
    const Range range = ranges[at];
    const float alpha = bounded(lower[at], 0.0f, range.most);
    lower[at] = alpha;
    float beta = 0;
    if (upper != nullptr) beta = upper[at] = bounded(upper[at], 0.0f, range.most);
    const ScaleAndZero stored = grid_of(range, alpha, beta);
    grid.scales[at] = stored.scale;
    grid.zeros[at] = to_code(stored.zero);
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void encode(const Team& team, Index r, Index g, float* out) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top;
    const float *const w = W + r * grid.cols, *const V = offsets + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      write_uniform(team, run, scale, zero, grid.codes_of(r), out, [&](Index j) {
        return bounded(round_half_even(in_steps(w[j], scale) + cut(V[j])) + zero, 0.0f, top);
      });
    });
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void add(const Team& team, Index r, Index g, const float* dW) const {
    const Index at = r * grid.groups + g;
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top;
    const Range range = ranges[at];
    // An outer code moves with the end of the range, wmin / s; the middle of a symmetric one stays.
    const float end = upper == nullptr ? 0.0f : -lower[at] * range.zero * range.unit / scale;
    const std::uint8_t* const codes = grid.codes_of(r);
    const float *const w = W + r * grid.cols, *const V = offsets + r * grid.cols;
    float* const dV = gradients + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      typename Team::template Lanes<double, 2> sums;  // ds, and Σ g out
      team.each_lane([&](int lane) {
        double ds = 0, clipped = 0;
        const Index count = run.count;
        for (Index k = lane; k < count; k += Team::size) {
          const Index j = run[k];
          const float x = in_steps(w[j], scale), t = round_half_even(x + cut(V[j])) + zero;
          const float level = static_cast<float>(codes[j]) - zero;
          const bool in = t >= 0 && t <= top;
          dV[j] += in ? dW[j] * scale : 0.0f;
          ds += static_cast<double>(dW[j]) * static_cast<double>(level - (in ? x : end));
          clipped += in ? 0.0 : static_cast<double>(dW[j]);
        }
        sums(0, lane) = ds;
        sums(1, lane) = clipped;
      });
      const double ds = fold_sum(team, sums, 0), clipped = fold_sum(team, sums, 1);
      by_one(team, [&] { add_to_factors(at, range, ds, clipped); });
    });
  }

 private:
  HALFTONE_HOST_DEVICE static float cut(float V) { return bounded(V, -4096.0f, 4096.0f); }

  /// Scale and zero that the factors of a group mean.
  HALFTONE_HOST_DEVICE ScaleAndZero grid_of(const Range& range, float alpha, float beta) const {
    if (upper == nullptr) return {round_scale(range.unit * alpha, type), range.zero};
    const float below = alpha * range.zero, above = beta * (grid.top - range.zero);
    const float scale = round_scale(range.unit * ((above + below) / grid.top), type);
    const float steps = below * range.unit / scale;
    return {scale, bounded(round_half_even(1024.0f < steps ? 1024.0f : steps), lowest_zero, grid.top)};
  }

  /// Plain rounding's range where it gives the group's very scale and zero, else that of the grid.
  template <class Team>
  HALFTONE_HOST_DEVICE Range first_range(const Team& team, Index r, Index g, const float* target) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g);
    float lo = 0, hi = 0;
    grid.runs.each(g, [&](const auto& run) {
      typename Team::template Lanes<float, 2> ends;
      team.each_lane([&](int lane) {
        ends(0, lane) = lo;
        ends(1, lane) = hi;
        for (Index k = lane; k < run.count; k += Team::size) {
          const float value = target[run[k]];
          if (value < ends(0, lane)) ends(0, lane) = value;
          if (ends(1, lane) < value) ends(1, lane) = value;
        }
      });
      lo = team.fold(ends, 0, [](float a, float b) { return b < a ? b : a; });
      hi = team.fold(ends, 1, [](float a, float b) { return a < b ? b : a; });
    });
    if (upper != nullptr && lo < hi) {
      const float unit = (hi - lo) / grid.top;
      const Range plain{unit, -lo / unit, 1.0f};
      const ScaleAndZero given = grid_of(plain, 1.0f, 1.0f);
      if (given.scale == scale && given.zero == zero) return plain;
    }
    return {scale, zero, 2.0f};
  }

  HALFTONE_HOST_DEVICE void add_to_factors(Index at, const Range& range, double ds, double clipped) const {
    const auto unit = static_cast<double>(range.unit), low = static_cast<double>(range.zero),
               top = static_cast<double>(grid.top);
    if (upper == nullptr) {
      lower_gradients[at] += static_cast<float>(unit * ds);
    } else {
      lower_gradients[at] += static_cast<float>(unit * low * (ds / top - clipped));
      upper_gradients[at] += static_cast<float>(unit * (top - low) * (ds / top));
    }
  }
};

template <class Backend>
class SignRound {
 public:
  using Rows = SignRoundRows<Backend>;

  SignRound(const Context<Backend>& context, MatrixView<const float> target, const QuantizedMatrix& start,
            const TrainableOptions& options)
      : lowest_zero_(static_cast<float>(options.minimum_zero)),
        grid_(context, start.uniform()),
        W_(context.copy(target)),
        ranges_(context.template allocate<Range>(start.rows(), start.groups())),
        offsets_(context, "rounding", start.rows(), start.cols(), 1),
        lower_(context, start.uniform().symmetric ? "range" : "alpha", start.rows(), start.groups(), 1, 1.0f),
        upper_(context, "beta", start.uniform().symmetric ? 0 : start.rows(), start.groups(), 1, 1.0f) {}

  std::vector<Parameters<Backend>*> parameters() {
    if (upper_.values.rows() == 0) return {&offsets_, &lower_};
    return {&offsets_, &lower_, &upper_};
  }
  Rows rows(GroupRuns<Backend> runs, MatrixView<std::uint8_t> codes) {
    return {grid_.rows(runs, codes),
            W_.data(),
            ranges_.data(),
            offsets_.values.data(),
            offsets_.gradients.data(),
            lower_.values.data(),
            lower_.gradients.data(),
            upper_.values.data(),
            upper_.gradients.data(),
            lowest_zero_,
            grid_.type()};
  }
  void to(const Context<Backend>& context, QuantizedMatrix& matrix) const { grid_.to(context, matrix.uniform()); }

 private:
  float lowest_zero_;
  UniformNow<Backend> grid_;
  typename Backend::template Matrix<float> W_;       // [out, in]
  typename Backend::template Matrix<Range> ranges_;  // [out, groups]
  Parameters<Backend> offsets_;                      // [out, in] V
  Parameters<Backend> lower_, upper_;                // [out, groups] α or ρ; β
};

}  // namespace halftone::tune
