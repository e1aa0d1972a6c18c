// Leaf kernels: runs of numbers to one.
#pragma once

#include <bit>  // bit_cast
#include <cstdint>

#include "halftone/backend/leaf/namespace.hpp"
#include "halftone/core/view.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// See LinearKernels::inner_product.
template <class S>
double inner_product(Index n, const S* a, const S* b) {
  constexpr Index lanes = 16;
  double sums[lanes] = {};
  Index i = 0;
  for (; i + lanes <= n; i += lanes)
    for (Index l = 0; l < lanes; ++l) sums[l] += static_cast<double>(a[i + l]) * static_cast<double>(b[i + l]);
  for (Index l = 0; i + l < n; ++l) sums[l] += static_cast<double>(a[i + l]) * static_cast<double>(b[i + l]);
  for (Index width = lanes / 2; width > 0; width /= 2)
    for (Index l = 0; l < width; ++l) sums[l] += sums[l + width];
  return sums[0];
}

/// See LinearKernels::all_finite. An OR of comparisons of integers: it vectorises, which a sum of floats does not.
template <class S, class Bits>
bool all_finite(Index n, const S* x) {
  constexpr Bits exponent = sizeof(S) == 4 ? Bits(0x7f800000u) : Bits(0x7ff0000000000000u);  // all set in NaN too
  Bits found = 0;
  for (Index i = 0; i < n; ++i) found |= Bits((std::bit_cast<Bits>(x[i]) & exponent) == exponent);
  return found == 0;
}

}  // namespace halftone::detail::HALFTONE_LEAF
