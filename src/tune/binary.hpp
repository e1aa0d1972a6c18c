// Binary-coded grids: value = Σ α_i (±1) + β. Trained are α and β, as distances from the start in steps of the group
// (the mean distance of its levels), and, unless codes are fixed, a latent place u of each weight among the ascending
// levels: its value is level number round(u). Straight through: dL/du = g times the step of the grid, as if levels
// stood evenly. dα_i = Σ g b_i and dβ = Σ g times the step at the start, b_i = ±1 the sign of plane i.
//
// α stays positive or 0. Where two of them change places the planes do too, so that the largest comes first; weights
// keep their signs, or their places among the levels.
#pragma once

#include <cmath>  // abs

#include "tune/plane_sums.hpp"

namespace halftone::tune {

template <class Backend>
struct BinaryRows {
  GroupRuns<Backend> runs;
  Index cols, groups;
  int bits;
  ScaleType type;
  std::uint8_t* codes;                       ///< [out, in]
  float *alphas, *biases;                    ///< [out, groups · k], [out, groups] as they are stored
  const float *start_alphas, *start_biases;  ///< the same at the start
  float* units;                              ///< [out, groups] step at the start
  std::uint8_t* planes;                      ///< [out, groups · k] which plane of the start is plane i now
  float* table_values;                       ///< [out, groups · 2^k] by level, or by code of the start
  std::uint8_t* table_codes;                 ///< the same
  const std::uint8_t* start_codes;           ///< [out, in]; null: codes are trained
  float *latent, *gradients;                 ///< [out, in] u; null: codes are fixed
  float *moved_alphas, *alpha_gradients;     ///< [out, groups · k]
  float *moved_biases, *bias_gradients;      ///< [out, groups]

  /// Before the first step: unit, and the levels of the start.
  HALFTONE_HOST_DEVICE void begin_group(Index r, Index g) const {
    const Index at = r * groups + g;
    const float step = mean_step(start_alphas + at * bits);
    units[at] = step > 0 ? step : 1e-5f;
    ascending_levels(start_alphas + at * bits, 1, start_biases[at], bits, table_values + (at << bits),
                     table_codes + (at << bits));
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void start(const Team& team, Index r, Index g, const float* target, float margin) const {
    if (latent == nullptr) return;
    const Index at = r * groups + g;
    const float* const levels = table_values + (at << bits);
    const std::uint8_t *const of_level = table_codes + (at << bits), *const code = codes + r * cols;
    float* const u = latent + r * cols;
    runs.each(g, [&](const auto& run) {
      each_column(team, run, [&](Index j) {
        int level = 0;
        while (of_level[level] != code[j]) ++level;
        u[j] = place(levels, level, target[j], margin);
      });
    });
  }

  /// α and β as they are stored, planes in order, and what every level or code of the start has become.
  HALFTONE_HOST_DEVICE void encode_group(Index r, Index g) const {
    const Index at = r * groups + g;
    const float unit = units[at];
    float stored[max_planes];
    std::uint8_t* const order = planes + at * bits;
    for (int i = 0; i < bits; ++i) {
      const float from = start_alphas[at * bits + i];
      float& moved = moved_alphas[at * bits + i];
      if (from + unit * moved < 0) moved = -from / unit;
      const float alpha = from + unit * moved;
      stored[i] = round_stored(alpha < 0.0f ? 0.0f : alpha, type);
      int place = i;  // of equal ones the first stays first
      for (; place > 0 && stored[order[place - 1]] < stored[i]; --place) order[place] = order[place - 1];
      order[place] = static_cast<std::uint8_t>(i);
    }
    for (int i = 0; i < bits; ++i) alphas[at * bits + i] = stored[order[i]];
    biases[at] = round_stored(start_biases[at] + unit * moved_biases[at], type);
    tabulate(at);
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void encode(const Team& team, Index r, Index g, float* W) const {
    const Index at = r * groups + g;
    const float* const values = table_values + (at << bits);
    const std::uint8_t* const of = table_codes + (at << bits);
    const bool trained = latent != nullptr;
    const std::uint8_t* const start = trained ? nullptr : start_codes + r * cols;
    float* const u = trained ? latent + r * cols : nullptr;
    std::uint8_t* const code = codes + r * cols;
    const float top = static_cast<float>((1 << bits) - 1);
    runs.each(g, [&](const auto& run) {
      each_column(team, run, [&](Index j) {
        int entry = 0;
        if (trained) {
          const float kept = bounded(u[j], -0.5f, top + 0.5f);
          if (Team::size == 1 || kept != u[j]) u[j] = kept;
          entry = static_cast<int>(nearest_code(kept, top));
        } else {
          entry = start[j];
        }
        code[j] = of[entry];
        if (W != nullptr) W[j] = values[entry];
      });
    });
  }

  template <class Team>
  HALFTONE_HOST_DEVICE void add(const Team& team, Index r, Index g, const float* dW) const {
    const Index at = r * groups + g;
    const std::uint8_t* const code = codes + r * cols;
    runs.each(g, [&](const auto& run) {
      typename Team::template Lanes<double, max_planes + 1> sums;  // of the planes, and of all
      team.each_lane([&](int lane) { sum_planes<Team>(run, lane, bits, code, dW, sums); });
      const auto unit = static_cast<double>(units[at]);
      for (int i = 0; i < max_planes; ++i) {
        if (i >= bits) continue;
        const double plane = fold_sum(team, sums, i);
        by_one(team, [&] { alpha_gradients[at * bits + planes[at * bits + i]] += static_cast<float>(unit * plane); });
      }
      const double all = fold_sum(team, sums, max_planes);
      by_one(team, [&] { bias_gradients[at] += static_cast<float>(unit * all); });
      if (latent == nullptr) return;
      const float step = mean_step(alphas + at * bits);
      float* const du = gradients + r * cols;
      each_column(team, run, [&](Index j) { du[j] += dW[j] * step; });
    });
  }

 private:
  /// Mean distance of neighbouring levels: from −Σα to Σα in 2^k − 1 steps.
  HALFTONE_HOST_DEVICE float mean_step(const float* planes_of) const {
    float sum = 0;
    for (int i = 0; i < bits; ++i) sum += planes_of[i];
    return 2 * sum / static_cast<float>((1 << bits) - 1);
  }

  /// Where `value` lies in the cell of level number `at`: at − 1/2 half way to the level below, at + 1/2 above.
  HALFTONE_HOST_DEVICE float place(const float* levels, int at, float value, float margin) const {
    const float level = levels[at], far = value - level;
    const bool above = value > level;
    const int wanted = above ? at + 1 : at - 1, last = (1 << bits) - 1;
    const int next = wanted < 0 ? 0 : wanted > last ? last : wanted;
    const float distance = std::abs(next == at ? level - levels[at == 0 ? 1 : at - 1] : levels[next] - level);
    const float steps = distance > 0 ? far / distance : far == 0 ? 0.0f : above ? 1.0f : -1.0f;
    return into_cell(static_cast<float>(at) + bounded(steps, -1.0f, 1.0f), static_cast<float>(at), margin);
  }

  HALFTONE_HOST_DEVICE void tabulate(Index at) const {
    const float* const planes_now = alphas + at * bits;
    float* const values = table_values + (at << bits);
    std::uint8_t* const of = table_codes + (at << bits);
    if (latent != nullptr) return ascending_levels(planes_now, 1, biases[at], bits, values, of);
    for (unsigned code = 0; code < 1u << bits; ++code) {
      unsigned now = 0;
      for (int i = 0; i < bits; ++i) now |= (code >> planes[at * bits + i] & 1u) << i;
      of[code] = static_cast<std::uint8_t>(now);
      values[code] = decode_binary(now, planes_now, 1, biases[at], bits);
    }
  }
};

template <class Backend>
class Binary {
 public:
  using Rows = BinaryRows<Backend>;
  template <class T>
  using Matrix = typename Backend::template Matrix<T>;

  Binary(const Context<Backend>& context, MatrixView<const float>, const QuantizedMatrix& start,
         const TrainableOptions& options)
      : bits_(start.bits()),
        type_(stored_type(start.scale_type())),
        start_alphas_(context.upload(start.binary().alphas.view())),
        start_biases_(context.upload(start.binary().biases.view())),
        alphas_(context.template allocate<float>(start.rows(), start.groups() * bits_)),
        biases_(context.template allocate<float>(start.rows(), start.groups())),
        units_(context.template allocate<float>(start.rows(), start.groups())),
        planes_(context.template allocate<std::uint8_t>(start.rows(), start.groups() * bits_)),
        table_values_(context.template allocate<float>(start.rows(), start.groups() << bits_)),
        table_codes_(context.template allocate<std::uint8_t>(start.rows(), start.groups() << bits_)),
        codes_(context, "codes", options.kind == TrainableKind::Latent ? start.rows() : 0, start.cols(), 1),
        moved_alphas_(context, "alphas", start.rows(), start.groups() * bits_, options.scale_rate),
        moved_biases_(context, "biases", start.rows(), start.groups(), options.scale_rate) {
    if (options.kind != TrainableKind::Latent) start_codes_ = context.upload(start.codes.view());
  }

  std::vector<Parameters<Backend>*> parameters() {
    if (codes_.values.rows() > 0) return {&codes_, &moved_alphas_, &moved_biases_};
    return {&moved_alphas_, &moved_biases_};
  }
  Rows rows(GroupRuns<Backend> runs, MatrixView<std::uint8_t> codes) {
    return {.runs = runs,
            .cols = codes.cols,
            .groups = biases_.cols(),
            .bits = bits_,
            .type = type_,
            .codes = codes.data,
            .alphas = alphas_.data(),
            .biases = biases_.data(),
            .start_alphas = start_alphas_.data(),
            .start_biases = start_biases_.data(),
            .units = units_.data(),
            .planes = planes_.data(),
            .table_values = table_values_.data(),
            .table_codes = table_codes_.data(),
            .start_codes = start_codes_.data(),
            .latent = codes_.values.data(),
            .gradients = codes_.gradients.data(),
            .moved_alphas = moved_alphas_.values.data(),
            .alpha_gradients = moved_alphas_.gradients.data(),
            .moved_biases = moved_biases_.values.data(),
            .bias_gradients = moved_biases_.gradients.data()};
  }
  void to(const Context<Backend>& context, QuantizedMatrix& matrix) const {
    matrix.binary().alphas = context.download(alphas_.view());
    matrix.binary().biases = context.download(biases_.view());
  }

 private:
  int bits_;
  ScaleType type_;
  Matrix<float> start_alphas_, start_biases_;       // [out, groups · k], [out, groups]
  Matrix<float> alphas_, biases_;                   // the same, as they are now
  Matrix<float> units_;                             // [out, groups] step at the start
  Matrix<std::uint8_t> planes_;                     // [out, groups · k] which plane of the start is plane i now
  Matrix<float> table_values_;                      // [out, groups · 2^k]
  Matrix<std::uint8_t> table_codes_, start_codes_;  // [out, groups · 2^k]; [out, in], none if codes are trained
  Parameters<Backend> codes_;                       // [out, in] u
  Parameters<Backend> moved_alphas_;                // [out, groups · k]
  Parameters<Backend> moved_biases_;                // [out, groups]
};

}  // namespace halftone::tune
