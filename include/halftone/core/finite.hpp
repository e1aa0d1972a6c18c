// Is a run of numbers free of NaN and infinities?
#pragma once

#include <bit>  // bit_cast
#include <cstdint>
#include <type_traits>

#include "halftone/core/platform.hpp"
#include "halftone/core/view.hpp"

namespace halftone {

/// True if none of n numbers is NaN or infinite: of those, and of no others, all exponent bits are set. T: float,
/// double, BFloat16, Float16. An OR of comparisons of integers: it vectorises, which a sum of floats does not.
template <class T>
HALFTONE_HOST_DEVICE bool all_finite(Index n, const T* x) {
  using Bits = std::conditional_t<sizeof(T) == 2, std::uint16_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
  const auto exponent = std::bit_cast<Bits>(T(__builtin_inff()));
  Bits found = 0;
  for (Index i = 0; i < n; ++i) found = static_cast<Bits>(found | ((std::bit_cast<Bits>(x[i]) & exponent) == exponent));
  return found == 0;
}

}  // namespace halftone
