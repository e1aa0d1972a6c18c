// What a plan costs: flops, bytes of memory and of files.
#pragma once

#include "halftone/pipeline/plan.hpp"

namespace halftone {

/// Fills in output_bytes, memory and flops of a plan whose blocks, tensors, windows and length are known.
void plan_cost(const Context<Cpu>& context, const Model& model, RunPlan& plan);

/// Bytes of a block's weights as a walk without tuning holds them: linears in bfloat16 where Model::load_block gives
/// them so.
Index weight_bytes(const Model& model, const RunPlan& plan, Index block);
/// Of its other linears, rounded, where the plan multiplies 16-bit numbers.
Index rounded_bytes(const Model& model, const RunPlan& plan, Index block);
/// What a stage of the plan holds beside streams and weights while its matrices are solved.
MemoryEstimate stage_memory(const BlockProgram& program, const PlannedStage& stage, const RunPlan& plan);

/// Multiplications and additions of `tokens` tokens through operations [first, last) of a block, in windows of
/// `length`.
double forward_flops(const BlockProgram& program, Index first, Index last, Index tokens, Index length);
/// Of the sums over `tokens` inputs of `width` numbers: a triangle of H, and D where it is asked for.
double statistics_flops(Moments moments, Index width, Index tokens);
/// Of the factor of a stage's H [width, width].
double factor_flops(Moments moments, Index width);
/// Of one matrix, beside its stage's share.
double solve_flops(const PlannedMatrix& planned);

/// Tokens that are added to the statistics at once. Fixed: sums are taken in this order whatever the machine.
inline constexpr Index statistics_tokens = 4096;

}  // namespace halftone
