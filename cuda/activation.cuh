// The activations of an MLP and their slopes, of one number.
#pragma once

#include <cmath>

#include "halftone/backend/activation.hpp"
#include "halftone/core/platform.hpp"

namespace halftone {

/// Silu and GeluTanh are x·σ(u), as on the CPU.
HALFTONE_HOST_DEVICE float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::Relu: return x > 0.0f ? x : 0.0f;
    case Activation::Silu: return x / (1.0f + std::exp(-x));
    case Activation::Gelu: return x * (0.5f * (1.0f + std::erf(x * 0.70710678118654752f)));
    case Activation::GeluTanh:
      return x / (1.0f + std::exp(-(x * (x * x * (1.5957691216057308f * 0.044715f) + 1.5957691216057308f))));
  }
  return x;
}

/// Of x·σ(u): σ(u) (1 + x u' (1 − σ(u))).
HALFTONE_HOST_DEVICE float sigmoid_slope(float x, float u, float u_slope) {
  const float s = 1.0f / (1.0f + std::exp(-u));
  return s * (x * u_slope * (1.0f - s) + 1.0f);
}

/// act'(x). Gelu's is Φ(x) + x φ(x). Beyond ±80 the slopes are 0 and 1, and x is held there, so that nothing overflows.
HALFTONE_HOST_DEVICE float activation_slope(Activation activation, float wide) {
  const float x = wide > 80.0f ? 80.0f : wide < -80.0f ? -80.0f : wide;
  constexpr float linear = 1.5957691216057308f, cubic = 1.5957691216057308f * 0.044715f;
  switch (activation) {
    case Activation::Relu: return x > 0.0f ? 1.0f : 0.0f;
    case Activation::Silu: return sigmoid_slope(x, x, 1.0f);
    case Activation::Gelu:
      return 0.5f * (1.0f + std::erf(x * 0.70710678118654752f)) + x * (0.39894228040143268f * std::exp(-0.5f * x * x));
    case Activation::GeluTanh: return sigmoid_slope(x, x * (x * x * cubic + linear), x * x * (3 * cubic) + linear);
  }
  return 1.0f;
}

}  // namespace halftone
