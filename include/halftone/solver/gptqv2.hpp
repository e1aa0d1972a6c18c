// GPTQv2, by its paper's name GPTAQ. Li, Yin, Lee, Xiao, Panda: "GPTAQ: Efficient Finetuning-Free Quantization for
// Asymmetric Calibration", 2025, arXiv 2504.02692.
//
// GPTQ whose target is the full-precision stream: ‖X_fp Wᵀ − X Qᵀ‖². Each column, just before it is rounded, also
// passes on what its input's deviation D = (X_fp − X)ᵀX costs: w_j ⊗ P[j, j+1:], P = α · strict_upper(D Uᵀ) U (equation
// 15). α = 0.25 is the published code's constant and not in the paper (α = 1 there): it shrinks the update, which
// overfits where tokens are few. The second update reaches the columns behind a block by the mode `second`
// (target.hpp).
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

struct GptqV2Preset {
  static constexpr std::string_view name = "gptqv2";
  static constexpr std::string_view help = "GPTQ against the full-precision stream, by a second update (GPTAQ)";
  static constexpr std::string_view paper = "arXiv 2504.02692";
  static DiffusionOptions options() { return {.target = {.target = Target::Alpha}}; }
};

using GptqV2Options = PresetOptions<GptqV2Preset>;
template <class Scalar, class Backend>
using GptqV2Solver = PresetSolver<Scalar, Backend, GptqV2Preset>;

}  // namespace halftone
