// What a plan takes of a device's memory.
#pragma once

#include "pipeline/walk_device.hpp"

namespace halftone {

/// Fills in plan.device, and the host's memory of a walk on it.
void plan_device(const Model& model, const WalkDevice& device, RunPlan& plan);

}  // namespace halftone
