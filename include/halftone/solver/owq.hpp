// OWQ. Lee, Jin, Kim, Kim, Park: "OWQ: Outlier-Aware Weight Quantization for Efficient Fine-Tuning and Inference of
// Large Language Models", 2023, arXiv 2306.02272.
//
// GPTQ whose k most sensitive columns stay in 16 bit. Sensitivity of column j: H_jj · Σ_r (W_rj − RTN(W)_rj)². The kept
// columns come last in the column loop, so they absorb the others' errors up to the least-squares optimum. The paper's
// grid is a two-dimensional search of scale and zero by |error|^2.4, which pays where outlier columns no longer stretch
// the grid; its act-order goes by sensitivity. Without kept columns this is GPTQ on that grid.
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

struct OwqPreset {
  static constexpr std::string_view name = "owq";
  static constexpr std::string_view help = "GPTQ with a few sensitive columns kept in 16 bit";
  static constexpr std::string_view paper = "arXiv 2306.02272";
  static DiffusionOptions options() {
    return {.grid = {.search = GridSearch::Owq}, .order_key = OrderKey::Sensitivity};
  }
};

using OwqOptions = PresetOptions<OwqPreset>;
template <class Scalar, class Backend>
using OwqSolver = PresetSolver<Scalar, Backend, OwqPreset>;

}  // namespace halftone
