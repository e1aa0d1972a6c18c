// GPTQT. Guo, Dong, Liu, Yang: "GPTQT: Quantize Large Language Models Twice to Push the Efficiency", 2024, arXiv
// 2407.02891.
//
// GPTQ on a binary-coded grid. Step 1 takes weights to integers of n bits, step 2 keeps 2^k of those that k signs can
// name (quant/step_vectors.hpp); scale and centre are explored again for every choice, and both steps merge exactly
// into value = Σ α_i·(±1) + β. The paper has no code; the definition is ours and in docs/methods.md: every partition of
// 2^n − 1 into k steps, scores weighted by diag(H), rounding straight to the nearest level (`strict`: through the
// integer). Parameters are fitted before the column loop, a row or a group at a time, and stay.
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

struct GptqtPreset {
  static constexpr std::string_view name = "gptqt";
  static constexpr std::string_view help = "GPTQ on binary-coded grids: sign planes found in two steps";
  static constexpr std::string_view paper = "arXiv 2407.02891";
  static DiffusionOptions options() {
    return {.grid = {.bits = 3, .group_size = -1, .search = GridSearch::Hessian}, .coding = Coding::Binary};
  }
};

using GptqtOptions = PresetOptions<GptqtPreset>;
template <class Scalar, class Backend>
using GptqtSolver = PresetSolver<Scalar, Backend, GptqtPreset>;

}  // namespace halftone
