// What a plan takes of a device's memory.
#pragma once

#include "pipeline/walk_device.hpp"

namespace halftone {

/// Fills in plan.device, and the host's memory of a walk on it.
void plan_device(const Model& model, const WalkDevice& device, RunPlan& plan);

/// What the plan then says of hidden states and sums that have no room there.
std::vector<std::string> device_notes(const RunPlan& plan);

/// Bytes of a device that a walk through a block takes beside `weights` bytes of weights, and beside hidden states: a
/// chunk of tokens and the weights that are rounded for it, or a stage whose inputs are summed, or that is solved. Sums
/// for which plan.device.memory_limit has no room beside the solver are spilled: that is entered in the plan.
Index bytes_beside(const Model& model, RunPlan& plan, Index block, Index weights);

}  // namespace halftone
