// The table of one instruction set: every leaf kernel, instantiated in namespace HALFTONE_LEAF.
#pragma once

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/backend/leaf/products.hpp"

namespace halftone::detail::HALFTONE_LEAF {

inline constexpr CpuKernels table{
    .isa = HALFTONE_LEAF_ISA,
    .products = "eigen",
    .linear_f32 = {.gemm = gemm<float>},
    .linear_f64 = {.gemm = gemm<double>},
};

}  // namespace halftone::detail::HALFTONE_LEAF
