// IEEE half and bfloat16: storage types with exact widening and round-half-even narrowing.
#pragma once

#include <bit>  // bit_cast
#include <compare>
#include <cstdint>

#include "halftone/core/platform.hpp"

namespace halftone {

namespace detail {

HALFTONE_HOST_DEVICE float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = static_cast<std::uint32_t>(h & 0x8000u) << 16;
  const std::uint32_t exponent = (h >> 10) & 0x1fu;
  const std::uint32_t mantissa = h & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa · 2^-24, exact in float
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

HALFTONE_HOST_DEVICE std::uint16_t float_to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x7f800000u)  // infinity stays, NaN stays NaN
    return static_cast<std::uint16_t>(sign | 0x7c00u | (magnitude > 0x7f800000u ? 0x200u : 0u));
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to infinity
  if (magnitude < 0x38800000u) {  // subnormal half: adding 0.5 aligns the last kept bit with float's own rounding
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u));
  }
  const std::uint32_t odd = (magnitude >> 13) & 1u;
  return static_cast<std::uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

HALFTONE_HOST_DEVICE float bfloat_to_float(std::uint16_t b) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16);
}

HALFTONE_HOST_DEVICE std::uint16_t float_to_bfloat(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // keep NaN quiet
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace detail

/// IEEE 754 binary16. 11 significant bits, largest finite 65504.
struct Float16 {
  std::uint16_t bits = 0;

  Float16() = default;
  HALFTONE_HOST_DEVICE explicit Float16(float value) : bits(detail::float_to_half(value)) {}
  HALFTONE_HOST_DEVICE explicit operator float() const { return detail::half_to_float(bits); }
  friend bool operator==(Float16, Float16) = default;  // of the bits
};

/// Upper half of a float. 8 significant bits, float's range.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  HALFTONE_HOST_DEVICE explicit BFloat16(float value) : bits(detail::float_to_bfloat(value)) {}
  HALFTONE_HOST_DEVICE explicit operator float() const { return detail::bfloat_to_float(bits); }
  /// The other sign, of zeros and NaN too.
  HALFTONE_HOST_DEVICE BFloat16 operator-() const {
    BFloat16 negated = *this;
    negated.bits ^= 0x8000u;
    return negated;
  }
  friend bool operator==(BFloat16, BFloat16) = default;  // of the bits
};

static_assert(sizeof(Float16) == 2 && sizeof(BFloat16) == 2);

}  // namespace halftone
