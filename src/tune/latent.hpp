// Latent codes of a uniform grid: value = s (q − z), q = round(u), s = s0 exp(p). Codes stay what they are while the
// scale moves. Straight through: dL/du = g s and dL/dp = Σ g s (q − z), for g = dL/dvalue. u is kept within half a step
// of the codes that there are, so that no weight ever stops learning. With codes fixed: the scales alone.
#pragma once

#include "tune/uniform.hpp"

namespace halftone::tune {

template <class Backend>
struct LatentRows {
  UniformRows<Backend> grid;
  LogScaleRows log_scales;
  float *latent, *gradients;  ///< [out, in] u; null: codes are fixed

  /// Before the first step: u from the weights that the codes stand for.
  template <class Team>
  HALFTONE_HOST_DEVICE void start(const Team& team, Index r, Index g, const float* target, float margin) const {
    if (latent == nullptr) return;
    const float scale = grid.scale(r, g), zero = grid.zero(r, g);
    const std::uint8_t* const codes = grid.codes_of(r);
    float* const u = latent + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      each_column(team, run, [&](Index j) {
        u[j] = into_cell(in_steps(target[j], scale) + zero, static_cast<float>(codes[j]), margin);
      });
    });
  }

  HALFTONE_HOST_DEVICE void encode_group(Index r, Index g) const {
    grid.scales[r * grid.groups + g] = log_scales.stored(r * grid.groups + g);
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void encode(const Team& team, Index r, Index g, float* W) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g), top = grid.top, end = top + 0.5f;
    std::uint8_t* const codes = grid.codes_of(r);
    if (latent == nullptr) {
      if (W != nullptr)
        grid.runs.each(g, [&](const auto& run) {
          each_column(team, run, [&](Index j) { W[j] = decode(static_cast<float>(codes[j]), scale, zero); });
        });
      return;
    }
    float* const u = latent + r * grid.cols;
    grid.runs.each(g, [&](const auto& run) {
      write_uniform(team, run, scale, zero, codes, W, [&](Index j) {
        const float kept = u[j] < -0.5f ? -0.5f : u[j] > end ? end : u[j];
        if (Team::size == 1 || kept != u[j]) u[j] = kept;  // on a device a branch costs less than the store
        return nearest_code(kept, top);
      });
    });
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void add(const Team& team, Index r, Index g, const float* dW) const {
    const float scale = grid.scale(r, g), zero = grid.zero(r, g);
    const std::uint8_t* const codes = grid.codes_of(r);
    grid.runs.each(g, [&](const auto& run) {
      const double sum = run_sum(team, run, [&](Index j) {
        return static_cast<double>(dW[j]) * static_cast<double>(static_cast<float>(codes[j]) - zero);
      });
      by_one(team, [&] {
        log_scales.gradients[r * grid.groups + g] += static_cast<float>(sum * static_cast<double>(scale));
      });
      if (latent == nullptr) return;
      float* const du = gradients + r * grid.cols;
      each_column(team, run, [&](Index j) { du[j] += dW[j] * scale; });
    });
  }
};

template <class Backend>
class Latent {
 public:
  using Rows = LatentRows<Backend>;

  Latent(const Context<Backend>& context, MatrixView<const float>, const QuantizedMatrix& start,
         const TrainableOptions& options)
      : grid_(context, start.uniform()),
        codes_(context, "codes", options.kind == TrainableKind::Latent ? start.rows() : 0, start.cols(), 1),
        log_scales_(context, "log_scales", start.rows(), start.groups(), options.scale_rate) {}

  std::vector<Parameters<Backend>*> parameters() {
    if (codes_.values.rows() > 0) return {&codes_, &log_scales_};
    return {&log_scales_};
  }
  Rows rows(GroupRuns<Backend> runs, MatrixView<std::uint8_t> codes) {
    return {grid_.rows(runs, codes), grid_.log_scales(log_scales_), codes_.values.data(), codes_.gradients.data()};
  }
  void to(const Context<Backend>& context, QuantizedMatrix& matrix) const { grid_.to(context, matrix.uniform()); }

 private:
  UniformNow<Backend> grid_;
  Parameters<Backend> codes_;       // [out, in] u
  Parameters<Backend> log_scales_;  // [out, groups] p
};

}  // namespace halftone::tune
