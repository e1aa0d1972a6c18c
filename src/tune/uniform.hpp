// What trainable uniform grids share: scales on a logarithmic axis, value = s (q − z), s = s0 exp(p).
#pragma once

#include <algorithm>  // clamp
#include <cmath>      // exp

#include "tune/trained_matrix.hpp"

namespace halftone::tune {

/// p of every group, with the stored scale that it means. s0 exp(0) is s0 exactly.
class LogScales {
 public:
  LogScales(const UniformGrid& start, double rate)
      : parameters("log_scales", start.scales.rows(), start.scales.cols(), rate),
        start_(start.scales),
        type_(stored_type(start.scale_type)) {}

  float start(Index r, Index g) const { return start_(r, g); }
  /// Moves p back onto its bounds, and gives the scale as it is stored.
  float stored(Index r, Index g) {
    float& p = parameters.values(r, g);
    p = std::clamp(p, -3.0f, 3.0f);  // a factor of 20 either way: far beyond what a grid of these codes can want
    return round_scale(start_(r, g) * std::exp(p), type_);
  }

  Parameters parameters;

 private:
  Matrix<float> start_;
  ScaleType type_;
};

/// W / s as encode() takes it: what lies further out than any code can is cut, so that float holds fractions.
inline float in_steps(float weight, float scale) { return std::clamp(weight / scale, -1024.0f, 1024.0f); }

/// The number nearest to `steps` that encode()'s rounding takes to `code`: itself where it does already, which
/// outermost codes do from any distance.
inline float start_in_cell(float steps, float zero, float top, float code, double margin) {
  const float rounded = std::clamp(round_half_even(steps) + zero, 0.0f, top);
  return rounded == code ? steps : into_cell(steps, code - zero, margin);
}

}  // namespace halftone::tune
