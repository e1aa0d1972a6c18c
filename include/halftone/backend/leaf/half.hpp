// Leaf kernels: runs of floats to 16 bit and back.
#pragma once

#include "halftone/backend/leaf/namespace.hpp"

#include "halftone/core/float16.hpp"
#include "halftone/core/view.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// See HalfKernels::narrow.
inline void narrow(Index n, const float* HALFTONE_RESTRICT x, BFloat16* HALFTONE_RESTRICT y) {
  for (Index i = 0; i < n; ++i) y[i].bits = float_to_bfloat(x[i]);
}

/// See HalfKernels::widen_bf16, widen_f16.
template <class T>
void widen(Index n, const T* HALFTONE_RESTRICT x, float* HALFTONE_RESTRICT y) {
  for (Index i = 0; i < n; ++i) y[i] = static_cast<float>(x[i]);
}

}  // namespace halftone::detail::HALFTONE_LEAF
