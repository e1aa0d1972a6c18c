// Leaf kernels: runs of numbers to one.
#pragma once

#include "halftone/backend/leaf/namespace.hpp"
#include "halftone/core/finite.hpp"
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

/// See LinearKernels::all_finite.
template <class S>
bool all_finite(Index n, const S* x) {
  return halftone::all_finite(n, x);
}

}  // namespace halftone::detail::HALFTONE_LEAF
