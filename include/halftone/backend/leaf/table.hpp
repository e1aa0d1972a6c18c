// The table of one instruction set: every leaf kernel, instantiated in namespace HALFTONE_LEAF.
#pragma once

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/backend/leaf/attention.hpp"
#include "halftone/backend/leaf/attention_backward.hpp"
#include "halftone/backend/leaf/binary_search.hpp"
#include "halftone/backend/leaf/descend.hpp"
#include "halftone/backend/leaf/diffuse.hpp"
#include "halftone/backend/leaf/fit_grid.hpp"
#include "halftone/backend/leaf/half.hpp"
#include "halftone/backend/leaf/nn.hpp"
#include "halftone/backend/leaf/nn_backward.hpp"
#include "halftone/backend/leaf/products.hpp"
#include "halftone/backend/leaf/reduce.hpp"
#include "halftone/backend/leaf/search.hpp"
#include "halftone/backend/leaf/triangles.hpp"

namespace halftone::detail::HALFTONE_LEAF {

template <class S>
inline constexpr LinearKernels<S> linear_table{
    .gemm = gemm<S>,
    .factor = factor<S>,
    .solve_rows = solve_rows<S>,
    .inner_product = inner_product<S>,
    .all_finite = all_finite<S>,
};

template <class S>
inline constexpr NnKernels<S> nn_table{
    .rms_norm = rms_norm<S>,
    .layer_norm = layer_norm<S>,
    .rotate = rotate<S>,
    .rotate_adjacent = rotate_adjacent<S>,
    .attend = attend<S>,
    .activate = activate<S>,
    .soft_cap = soft_cap<S>,
    .log_sum_exp = log_sum_exp<S>,
    .divergence = divergence<S>,
};

template <class S>
inline constexpr NnBackwardKernels<S> nn_backward_table{
    .rms_norm = rms_norm_backward<S>,
    .layer_norm = layer_norm_backward<S>,
    .rotate = rotate_backward<S>,
    .rotate_adjacent = rotate_adjacent_backward<S>,
    .attend = attend_backward<S>,
    .activate = activate_backward<S>,
    .squared_error = squared_error<S>,
};

template <class S>
inline constexpr QuantizeKernels<S> quantize_table{
    .diffuse = diffuse<S>,
    .diffuse_binary = diffuse_binary<S>,
    .fit_grid = fit_grid<S>,
};

template <class S>
inline constexpr RefineKernels<S> refine_table{
    .descend = descend<S>,
    .descend_binary = descend_binary<S>,
    .search = search<S>,
    .search_binary = search_binary<S>,
};

inline constexpr CpuKernels table{
    .isa = HALFTONE_LEAF_ISA,
    .products = "eigen",
    .linear_f32 = linear_table<float>,
    .linear_f64 = linear_table<double>,
    .half =
        {.units = "", .gemm = nullptr, .narrow = narrow, .widen_bf16 = widen<BFloat16>, .widen_f16 = widen<Float16>},
    .quantize_f32 = quantize_table<float>,
    .quantize_f64 = quantize_table<double>,
    .nn_f32 = nn_table<float>,
    .nn_f64 = nn_table<double>,
    .nn_backward_f32 = nn_backward_table<float>,
    .nn_backward_f64 = nn_backward_table<double>,
    .binary = {.ramps = fill_ramps, .minima = find_minima, .scores = find_scores},
    .refine_f32 = refine_table<float>,
    .refine_f64 = refine_table<double>,
};

}  // namespace halftone::detail::HALFTONE_LEAF
