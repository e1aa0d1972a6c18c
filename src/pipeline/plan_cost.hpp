// What a plan costs: flops, bytes of memory and of files.
#pragma once

#include "halftone/pipeline/plan.hpp"

namespace halftone {

/// Fills in output_bytes, memory and flops of a plan whose blocks, tensors, windows and length are known.
void plan_cost(const Context<Cpu>& context, const Model& model, RunPlan& plan);

/// Tokens that are added to the statistics at once. Fixed: sums are taken in this order whatever the machine.
inline constexpr Index statistics_tokens = 4096;

}  // namespace halftone
