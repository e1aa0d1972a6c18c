// The strongest combination that every format can hold, fixed from the measurements in docs/quality.md: the exact
// target, a diag(H)-weighted grid, act-order, and refinement.
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

struct BestPreset {
  static constexpr std::string_view name = "best";
  static constexpr std::string_view help = "the strongest combination: exact target, weighted grid, act-order, refined";
  static constexpr std::string_view paper = "arXiv 2210.17323, arXiv 2504.02692";
  static DiffusionOptions options() {
    return {.grid = {.search = GridSearch::Hessian},
            .act_order = true,
            .target = {.target = Target::Shift},
            .refine = {.refine = 8}};
  }
};

using BestOptions = PresetOptions<BestPreset>;
template <class Scalar, class Backend>
using BestSolver = PresetSolver<Scalar, Backend, BestPreset>;

}  // namespace halftone
