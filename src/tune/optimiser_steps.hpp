// One step of an optimiser on one parameter: what every backend runs for all of them.
#pragma once

#include <cmath>  // sqrt

#include "halftone/core/platform.hpp"
#include "halftone/core/view.hpp"

namespace halftone::tune {

HALFTONE_HOST_DEVICE float finite_or_0(float gradient) { return gradient - gradient == 0 ? gradient : 0.0f; }

/// p = kept p − η sign(g), and g = 0.
struct SignStep {
  float *values, *gradients;
  float rate, kept;

  HALFTONE_HOST_DEVICE void operator()(Index i) const {
    const float g = finite_or_0(gradients[i]);
    values[i] = kept * values[i] - (g > 0 ? rate : g < 0 ? -rate : 0.0f);
    gradients[i] = 0;
  }
};

/// m = β1 m + (1 − β1) g,  v = β2 v + (1 − β2) g²,  p = kept p − η (m / (1 − β1^t)) / (sqrt(v / (1 − β2^t)) + ε), and
/// g = 0. Without momentum β1 = 0 and m = g, of which there is no memory.
template <bool momentum>
struct AdamStep {
  float *values, *gradients, *mean, *square;
  float rate, kept, beta1, rest1, unbias1, beta2, rest2, unbias2, epsilon;

  HALFTONE_HOST_DEVICE void operator()(Index i) const {
    const float g = finite_or_0(gradients[i]);
    float m = g;
    if constexpr (momentum) mean[i] = m = beta1 * mean[i] + rest1 * g;
    const float v = square[i] = beta2 * square[i] + rest2 * g * g;
    values[i] = kept * values[i] - rate * (m * unbias1) / (std::sqrt(v) * unbias2 + epsilon);
    gradients[i] = 0;
  }
};

}  // namespace halftone::tune
