// x^2.4 for the L2.4 grid search, one number at a time; the CPU's leaf kernels do the same on vectors (leaf/power.hpp).
#pragma once

#include <bit>  // bit_cast
#include <cstdint>

#include "halftone/core/platform.hpp"

namespace halftone {

/// x^2.4 for 0 <= x < 2^40, as x² · 2^(0.4 log2 x): relative error below 1e-6 for x > 2^-16. Polynomials interpolate at
/// Chebyshev nodes: log2(1 + m) / m on [√½ − 1, √2 − 1] to 2.2e-6, 2^f on [−½, ½] to 8e-8. 0 gives 0.
HALFTONE_HOST_DEVICE float power_2_4(float x) {
  const std::int32_t bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;  // of the power of two that leaves x in [√½, √2)
  const float m = std::bit_cast<float>(bits - (exponent << 23)) - 1.0f;
  float log = m * 0.168186591f - 0.267963871f;
  log = log * m + 0.296119557f;
  log = log * m - 0.359524455f;
  log = log * m + 0.480613125f;
  log = log * m - 0.721360179f;
  log = log * m + 1.44269652f;
  const float y = 0.4f * static_cast<float>(exponent) + (0.4f * m) * log;
  const float whole = (y + 12582912.0f) - 12582912.0f;
  const float f = y - whole;
  float power = f * 0.00133908634f + 0.00967603192f;
  power = power * f + 0.0555035711f;
  power = power * f + 0.240221075f;
  power = power * f + 0.693147188f;
  power = power * f + 1.00000008f;
  const std::int32_t scaled = std::bit_cast<std::int32_t>(power) + (static_cast<std::int32_t>(whole) << 23);
  return x * x * std::bit_cast<float>(scaled);
}

}  // namespace halftone
