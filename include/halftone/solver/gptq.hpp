// GPTQ. Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
// Transformers", 2022, arXiv 2210.17323.
//
// Minimises ‖X Wᵀ − X Qᵀ‖² row by row: columns are rounded in a fixed order, and each one's error is compensated by the
// columns behind it, optimally under H = XᵀX. W [out, in], X [tokens, in], H [in, in], Hd = H + λI, Hd⁻¹ = UᵀU.
//
// Departures from the published code, each at its line: one factorisation instead of three (factored_moments.hpp); dead
// columns relative to the mean and without a share in it (input_diagonal.hpp); stable column order (column_order.hpp);
// scales rounded to their stored type before the solve; symmetric grids symmetric in every row; static groups as
// default.
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

struct GptqPreset {
  static constexpr std::string_view name = "gptq";
  static constexpr std::string_view help = "columns one after the other, errors compensated by the columns behind";
  static constexpr std::string_view paper = "arXiv 2210.17323";
  static DiffusionOptions options() { return {}; }
};

using GptqOptions = PresetOptions<GptqPreset>;
template <class Scalar, class Backend>
using GptqSolver = PresetSolver<Scalar, Backend, GptqPreset>;

}  // namespace halftone
