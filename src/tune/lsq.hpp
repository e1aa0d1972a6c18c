// A learned step (LSQ, arXiv 1902.08153; with zeros as EfficientQAT, arXiv 2407.11062, has them). Latent weights w in
// steps s0 of the start, v = w / s0; a log scale p, s = s0 exp(p); a zero z = round(z0 + ζ):
//
//   t = round(w / s) + z,   q = clip(t, 0, Q),   value = s (q − z),   in = [0 <= t <= Q]
//   dv = g s0 in
//   dp = s Σ g (in ((q − z) − w / s) + out (q − z))
//   dζ = −Σ g s out
//
// Weights stay what they are while the scale moves: the difference from latent codes. Weights out of range learn
// nothing until the scale or the zero brings them back.
#pragma once

#include "tune/uniform.hpp"

namespace halftone::tune {

template <class Backend>
struct LsqRows {
  UniformRows<Backend> grid;
  LogScaleRows log_scales;
  float *weights, *gradients;         ///< [out, in] v
  float *offsets, *offset_gradients;  ///< [out, groups] ζ; null: symmetric
  const std::uint8_t* start_zeros;    ///< [out, groups] z0
  float lowest_zero;

  template <class Team>
  HALFTONE_HOST_DEVICE void start(const Team& team, Index r, Index g, const float* target, float margin) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top;
    const std::uint8_t* const codes = grid.codes_of(r);
    float* const v = weights + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      each_column(team, run, [&](Index j) {
        v[j] = start_in_cell(in_steps(target[j], scale), zero, top, static_cast<float>(codes[j]), margin);
      });
    });
  }

  HALFTONE_HOST_DEVICE void encode_group(Index r, Index g) const {
    const Index at = r * grid.groups + g;
    grid.scales[at] = log_scales.stored(at);
    if (offsets == nullptr) return;
    const auto zero = static_cast<float>(start_zeros[at]);
    const float offset = bounded(offsets[at], lowest_zero - zero, grid.top - zero);
    offsets[at] = offset;
    grid.zeros[at] = to_code(round_half_even(zero + offset));
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void encode(const Team& team, Index r, Index g, float* W) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top, ratio = from_start(r, g);
    const float* const v = weights + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      write_uniform(team, run, scale, zero, grid.codes_of(r), W,
                    [&](Index j) { return bounded(round_half_even(steps(v[j], ratio)) + zero, 0.0f, top); });
    });
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void add(const Team& team, Index r, Index g, const float* dW) const {
    const Index at = r * grid.groups + g;
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top;
    const float start = log_scales.start[at], ratio = from_start(r, g);
    const std::uint8_t* const codes = grid.codes_of(r);
    const float* const v = weights + r * grid.cols;
    float* const dv = gradients + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      typename Team::template Lanes<double, 2> sums;  // Σ g (..), and Σ g out
      team.each_lane([&](int lane) {
        double moved = 0, clipped = 0;
        const Index count = run.count;
        for (Index k = lane; k < count; k += Team::size) {
          const Index j = run[k];
          const float x = steps(v[j], ratio), t = round_half_even(x) + zero,
                      level = static_cast<float>(codes[j]) - zero;
          const bool in = t >= 0 && t <= top;
          dv[j] += in ? dW[j] * start : 0.0f;
          moved += static_cast<double>(dW[j]) * static_cast<double>(in ? level - x : level);
          clipped += in ? 0.0 : static_cast<double>(dW[j]);
        }
        sums(0, lane) = moved;
        sums(1, lane) = clipped;
      });
      const double moved = fold_sum(team, sums, 0), clipped = fold_sum(team, sums, 1);
      by_one(team, [&] {
        log_scales.gradients[at] += static_cast<float>(moved * static_cast<double>(scale));
        if (offsets != nullptr) offset_gradients[at] -= static_cast<float>(clipped * static_cast<double>(scale));
      });
    });
  }

 private:
  /// s0 / s
  HALFTONE_HOST_DEVICE float from_start(Index r, Index g) const {
    return log_scales.start[r * grid.groups + g] / grid.scale(r, g);
  }
  /// w / s
  HALFTONE_HOST_DEVICE static float steps(float v, float ratio) { return bounded(v * ratio, -2e6f, 2e6f); }
};

template <class Backend>
class Lsq {
 public:
  using Rows = LsqRows<Backend>;

  Lsq(const Context<Backend>& context, MatrixView<const float>, const QuantizedMatrix& start,
      const TrainableOptions& options)
      : lowest_zero_(static_cast<float>(options.minimum_zero)),
        grid_(context, start.uniform()),
        start_zeros_(context.upload(start.uniform().zeros.view())),
        weights_(context, "weights", start.rows(), start.cols(), 1),
        log_scales_(context, "log_scales", start.rows(), start.groups(), options.scale_rate),
        zeros_(context, "zeros", start.uniform().symmetric ? 0 : start.rows(), start.groups(), options.scale_rate) {}

  std::vector<Parameters<Backend>*> parameters() {
    if (zeros_.values.rows() == 0) return {&weights_, &log_scales_};
    return {&weights_, &log_scales_, &zeros_};
  }
  Rows rows(GroupRuns<Backend> runs, MatrixView<std::uint8_t> codes) {
    return {grid_.rows(runs, codes), grid_.log_scales(log_scales_), weights_.values.data(), weights_.gradients.data(),
            zeros_.values.data(),    zeros_.gradients.data(),       start_zeros_.data(),    lowest_zero_};
  }
  void to(const Context<Backend>& context, QuantizedMatrix& matrix) const { grid_.to(context, matrix.uniform()); }

 private:
  float lowest_zero_;
  UniformNow<Backend> grid_;
  typename Backend::template Matrix<std::uint8_t> start_zeros_;  // [out, groups] z0
  Parameters<Backend> weights_;                                  // [out, in] v
  Parameters<Backend> log_scales_;                               // [out, groups] p
  Parameters<Backend> zeros_;                                    // [out, groups] ζ; none if symmetric
};

}  // namespace halftone::tune
