// x^2.4 for the L2.4 grid search, on whole vectors.
#pragma once

#include "halftone/backend/leaf/lanes.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// x^2.4 for 0 <= x < 2^40, as x² · 2^(0.4 log2 x): relative error below 1e-6 for x > 2^-16. Polynomials interpolate at
/// Chebyshev nodes: log2(1 + m) / m on [√½ − 1, √2 − 1] to 2.2e-6, 2^f on [−½, ½] to 8e-8. 0 gives 0.
HALFTONE_HOST_DEVICE Vector<float> power_2_4(Vector<float> x) {
  using Bits = Vector<std::int32_t>;
  const Bits bits = reinterpret_cast<Bits>(x);
  const Bits exponent = (bits - 0x3f3504f3) >> 23;  // of the power of two that leaves x in [√½, √2)
  const Vector<float> m = reinterpret_cast<Vector<float>>(bits - (exponent << 23)) - 1.0f;
  Vector<float> log = m * 0.168186591f - 0.267963871f;
  log = log * m + 0.296119557f;
  log = log * m - 0.359524455f;
  log = log * m + 0.480613125f;
  log = log * m - 0.721360179f;
  log = log * m + 1.44269652f;
  const Vector<float> y = 0.4f * __builtin_convertvector(exponent, Vector<float>) + (0.4f * m) * log;
  const Vector<float> whole = (y + 12582912.0f) - 12582912.0f;
  const Vector<float> f = y - whole;
  Vector<float> power = f * 0.00133908634f + 0.00967603192f;
  power = power * f + 0.0555035711f;
  power = power * f + 0.240221075f;
  power = power * f + 0.693147188f;
  power = power * f + 1.00000008f;
  const Bits scaled = reinterpret_cast<Bits>(power) + (__builtin_convertvector(whole, Bits) << 23);
  return x * x * reinterpret_cast<Vector<float>>(scaled);
}

/// In double, the scalar of the references, by the C library.
HALFTONE_HOST_DEVICE Vector<double> power_2_4(Vector<double> x) {
  for (Index l = 0; l < vector_lanes<double>; ++l) x[l] = __builtin_pow(x[l], 2.4);
  return x;
}

}  // namespace halftone::detail::HALFTONE_LEAF
