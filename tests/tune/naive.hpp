// Every trainable quantiser once more in double, element by element: exactly, or with all rounding frozen. Frozen, a
// rounded number is the unrounded one plus what rounding added at the point where it was frozen, and clips stay as they
// were: a smooth map, whose finite differences are what "straight through" means.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <tuple>

#include "halftone/tune/trainable.hpp"

namespace halftone::test {

class Naive {
 public:
  /// Parameters by name, in the order in which the trainable has them.
  using Values = std::map<std::string, std::vector<double>, std::less<>>;

  Naive(TrainableKind kind, const QuantizedMatrix& start, const Matrix<float>& W)
      : kind_(kind), start_(start), W_(W), top_((1 << start.bits()) - 1) {}

  /// From now on every rounding adds what it adds at `values`.
  void freeze_at(const Values& values) {
    frozen_ = false;
    decode(values);
    frozen_ = true;
  }

  /// [out, in]
  Matrix<double> decode(const Values& values) {
    Matrix<double> result(start_.rows(), start_.cols());
    for (Index r = 0; r < start_.rows(); ++r)
      for (Index j = 0; j < start_.cols(); ++j)
        result(r, j) = start_.binary_coded() ? binary(values, r, j) : uniform(values, r, j);
    const auto& columns = start_.outliers.columns;
    for (Index r = 0; r < start_.rows(); ++r)
      for (std::size_t k = 0; k < columns.size(); ++k) {
        const Index i = r * static_cast<Index>(columns.size()) + static_cast<Index>(k);
        const double exact = start_.outliers.values.data()[i] + row_step(r) * get(values, "outliers", i);
        result(r, columns[k]) = hold("outlier", r, columns[k], exact, rounded_to(start_.outliers.dtype, float(exact)));
      }
    return result;
  }

 private:
  static double get(const Values& values, std::string_view name, Index i) {
    return values.find(name)->second[static_cast<std::size_t>(i)];
  }

  /// `rounded`, or `exact` plus what rounding added when it was frozen.
  double hold(const char* what, Index r, Index i, double exact, double rounded) {
    const auto key = std::make_tuple(what, r, i);
    if (!frozen_) offsets_[key] = rounded - exact;
    return exact + offsets_.at(key);
  }
  /// The same as a factor.
  double hold_factor(const char* what, Index r, Index i, double exact, double rounded) {
    const auto key = std::make_tuple(what, r, i);
    if (!frozen_) offsets_[key] = rounded / exact;
    return exact * offsets_.at(key);
  }
  double hold_value(const char* what, Index r, Index i, double value) {
    const auto key = std::make_tuple(what, r, i);
    if (!frozen_) offsets_[key] = value;
    return offsets_.at(key);
  }
  float store(double value) const { return rounded_to(start_.scale_type(), static_cast<float>(value)); }

  double row_step(Index r) const {
    double sum = 0;
    if (!start_.binary_coded()) {
      for (Index g = 0; g < start_.groups(); ++g) sum += start_.uniform().scales(r, g);
    } else {
      for (Index i = 0; i < start_.groups() * start_.bits(); ++i) sum += start_.binary().alphas(r, i) * 2.0 / top_;
    }
    return sum / static_cast<double>(start_.groups());
  }

  /// s (q − z) for t before clipping; frozen, a clipped code stays.
  double clipped(Index r, Index j, double t, double s, double z) {
    const bool in = hold_value("in", r, j, t >= 0 && t <= top_ ? 1.0 : 0.0) != 0;
    const double end = hold_value("end", r, j, std::clamp(t, 0.0, top_));
    return s * ((in ? t : end) - z);
  }

  double uniform(const Values& values, Index r, Index j) {
    const UniformGrid& grid = start_.uniform();
    const Index g = start_.group_of(j), group = r * start_.groups() + g, i = r * start_.cols() + j;
    const double s0 = grid.scales(r, g), z0 = grid.zeros(r, g);
    if (kind_ == TrainableKind::SignRound) return sign_round(values, r, j, g);
    const double raw = s0 * std::exp(get(values, "log_scales", group)), s = hold_factor("s", r, g, raw, store(raw));
    if (kind_ == TrainableKind::Scales) return s * (start_.codes(r, j) - z0);
    if (kind_ == TrainableKind::Latent) {
      const double u = get(values, "codes", i);
      return s * (hold("u", r, j, u, std::clamp(std::nearbyint(u), 0.0, top_)) - z0);
    }
    double z = z0;
    if (!grid.symmetric) {
      z = z0 + get(values, "zeros", group);
      z = hold("z", r, g, z, std::nearbyint(z));
    }
    const double x = get(values, "weights", i) * s0 / s;
    return clipped(r, j, hold("x", r, j, x, std::nearbyint(x)) + z, s, z);
  }

  double sign_round(const Values& values, Index r, Index j, Index g) {
    const UniformGrid& grid = start_.uniform();
    const Index group = r * start_.groups() + g;
    double s, z;
    if (grid.symmetric) {
      const double raw = grid.scales(r, g) * get(values, "range", group);
      s = hold("s", r, g, raw, store(raw));
      z = grid.zeros(r, g);
    } else {
      const auto [lo, hi] = range_of(r, g);
      const double wmin = get(values, "alpha", group) * lo, wmax = get(values, "beta", group) * hi;
      const double raw = (wmax - wmin) / top_;
      s = hold("s", r, g, raw, store(raw));
      z = hold("z", r, g, -wmin / s, std::nearbyint(-wmin / s));
    }
    const double x = W_(r, j) / s + get(values, "rounding", r * start_.cols() + j);
    return clipped(r, j, hold("x", r, j, x, std::nearbyint(x)) + z, s, z);
  }

  /// Of the weights, where plain rounding has the group's grid; else of the grid.
  std::pair<double, double> range_of(Index r, Index g) const {
    double lo = 0, hi = 0;
    for (Index j = 0; j < start_.cols(); ++j) {
      const auto& outliers = start_.outliers.columns;
      if (start_.group_of(j) != g || std::count(outliers.begin(), outliers.end(), j) > 0) continue;
      lo = std::min<double>(lo, W_(r, j));
      hi = std::max<double>(hi, W_(r, j));
    }
    const double s = start_.uniform().scales(r, g), z = start_.uniform().zeros(r, g);
    if (store((hi - lo) / top_) == s && std::nearbyint(-lo / s) == z) return {lo, hi};
    return {-s * z, s * (top_ - z)};
  }

  double binary(const Values& values, Index r, Index j) {
    const BinaryGrid& grid = start_.binary();
    const Index g = start_.group_of(j), k = grid.bits, group = r * start_.groups() + g;
    double step = 0, step_now = 0, value = 0;
    std::vector<double> alphas;
    for (Index i = 0; i < k; ++i) step += 2.0 * grid.alphas(r, g * k + i) / top_;
    for (Index i = 0; i < k; ++i) {
      const double raw = grid.alphas(r, g * k + i) + step * get(values, "alphas", group * k + i);
      alphas.push_back(hold("alpha", r, g * k + i, raw, store(raw)));
      step_now += 2 * alphas.back() / top_;
    }
    const double raw = grid.biases(r, g) + step * get(values, "biases", group);
    value += hold("beta", r, g, raw, store(raw));
    const double u = kind_ == TrainableKind::Latent ? get(values, "codes", r * start_.cols() + j) : 0;
    const int code = static_cast<int>(hold_value("code", r, j, code_at(r, j, u, alphas)));
    for (int i = 0; i < k; ++i)
      value += (code >> i & 1) != 0 ? alphas[static_cast<std::size_t>(i)] : -alphas[static_cast<std::size_t>(i)];
    // The latent place moves the value along the grid's mean step.
    if (kind_ == TrainableKind::Latent)
      value += hold_value("step", r, j, step_now) * (u - hold_value("place", r, j, u));
    return value;
  }

  /// Planes as the start numbers them.
  int code_at(Index r, Index j, double u, const std::vector<double>& alphas) const {
    if (kind_ != TrainableKind::Latent) return start_.codes(r, j);
    std::vector<std::pair<double, int>> levels;
    for (int code = 0; code <= static_cast<int>(top_); ++code) {
      double level = 0;
      for (std::size_t i = 0; i < alphas.size(); ++i) level += (code >> i & 1) != 0 ? alphas[i] : -alphas[i];
      levels.emplace_back(level, code);
    }
    std::sort(levels.begin(), levels.end());
    return levels[static_cast<std::size_t>(std::clamp(std::nearbyint(u), 0.0, top_))].second;
  }

  TrainableKind kind_;
  const QuantizedMatrix& start_;
  const Matrix<float>& W_;
  double top_;
  bool frozen_ = false;
  std::map<std::tuple<std::string, Index, Index>, double> offsets_;
};

}  // namespace halftone::test
