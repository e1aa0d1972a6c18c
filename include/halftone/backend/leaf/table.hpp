// The table of one instruction set: every leaf kernel, instantiated in namespace HALFTONE_LEAF.
#pragma once

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/backend/leaf/diffuse.hpp"
#include "halftone/backend/leaf/fit_grid.hpp"
#include "halftone/backend/leaf/products.hpp"
#include "halftone/backend/leaf/triangles.hpp"

namespace halftone::detail::HALFTONE_LEAF {

inline constexpr CpuKernels table{
    .isa = HALFTONE_LEAF_ISA,
    .products = "eigen",
    .linear_f32 = {.gemm = gemm<float>, .factor = factor<float>, .solve_rows = solve_rows<float>},
    .linear_f64 = {.gemm = gemm<double>, .factor = factor<double>, .solve_rows = solve_rows<double>},
    .quantize_f32 = {.diffuse = diffuse<float>, .fit_grid = fit_grid<float>},
    .quantize_f64 = {.diffuse = diffuse<double>, .fit_grid = fit_grid<double>},
};

}  // namespace halftone::detail::HALFTONE_LEAF
