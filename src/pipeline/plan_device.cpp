#include "pipeline/plan_device.hpp"

#include <algorithm>  // clamp, max, min

#include "halftone/model/stream.hpp"
#include "model/stream.impl.hpp"
#include "pipeline/plan_cost.hpp"

namespace halftone {
namespace {

/// What no count of numbers says: work space of the libraries, blocks that are rounded up.
constexpr Index device_slack = 256'000'000;

/// A chunk of tokens on its way through any of the block's stages, all of its slots included.
Index chunk_bytes(const BlockProgram& program, Index tokens) {
  Index width = 0;
  for (Index slot_width : program.slot_widths) width += slot_width;
  return 4 * width * tokens;
}

/// Tokens that fit beside the rest, in whole thousands of the chunk's.
Index resident_tokens(const DevicePlan& device, Index tokens) {
  if (device.token_bytes == 0) return tokens;
  return std::clamp<Index>((device.memory_limit - device.fixed_bytes) / device.token_bytes, 0, tokens);
}

}  // namespace

void plan_device(const Model& model, const WalkDevice* device, RunPlan& plan) {
  if (device == nullptr) return;
  require(plan.tune.steps == 0, Status::Unsupported, device->name(),
          ": tuning runs on the cpu alone; wanted effort low (no tuning), or device cpu");
  DevicePlan& there = plan.device;
  there.name = device->name();
  there.memory_limit = device->memory_limit();
  const Index chunk = std::min(plan.tokens(), plan.length == 0 ? 0 : chunk_windows<Cuda>(plan.length) * plan.length);
  Index weights = 0;
  for (Index block = 0; block < model.blocks(); ++block) {
    const BlockProgram& program = model.program(block);
    Index solving = 0;
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)]) {
      const MemoryEstimate memory = stage_memory(program, stage);
      solving = std::max(solving, memory.statistics + memory.solver);
    }
    weights = std::max(weights, parameter_bytes(program));
    // The weights of every stream and of the block that is brought in ahead.
    const Index fixed =
        (plan.streams() + 1) * parameter_bytes(program) + std::max(solving, chunk_bytes(program, chunk));
    there.fixed_bytes = std::max(there.fixed_bytes, fixed + device_slack);
    if (plan.streams() > 0)
      there.token_bytes =
          std::max(there.token_bytes,
                   plan.streams() * detail::stream_bytes(program, plan.length, plan.length, 1, 1) / plan.length);
  }
  there.resident = resident_tokens(there, plan.tokens());
  MemoryEstimate& host = plan.memory;
  host.statistics = 0;
  host.weights = 2 * weights;  // on their way to the device
  const Index hidden = plan.tokens() * 4 * model.config().hidden;
  host.streams = std::max(hidden, (plan.tokens() - there.resident) * there.token_bytes);
}

}  // namespace halftone
