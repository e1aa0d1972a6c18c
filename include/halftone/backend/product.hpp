// What a matrix product is of.
#pragma once

#include <cstdint>
#include <type_traits>

namespace halftone {

enum class Transpose : bool { No, Yes };

/// What the large products of a calibration multiply; their sums are float.
enum class ProductType : std::uint8_t {
  Float,     ///< numbers as they are
  BFloat16,  ///< numbers rounded to bfloat16 first
};

/// True where matrices of S in a backend's memory may be multiplied as BFloat16. A backend that lacks narrow() and
/// products of 16-bit matrices (linear_algebra.hpp) says so here.
template <class S, class Backend>
inline constexpr bool may_round = std::is_same_v<S, float>;

}  // namespace halftone
