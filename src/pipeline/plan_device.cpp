#include "pipeline/plan_device.hpp"

#include <algorithm>  // max, min

#include "model/block_bytes.hpp"
#include "pipeline/plan_cost.hpp"

namespace halftone {
namespace {

/// Of a stage's inputs.
Index width_of(const BlockProgram& program, const PlannedStage& stage) {
  return program.stages[static_cast<std::size_t>(stage.stage)].input.width;
}

/// Inputs that are added to a stage's sums at once: of each stream where they are spilled, and the difference of both,
/// which may be rounded.
Index batch_bytes(const BlockProgram& program, const PlannedStage& stage, const RunPlan& plan) {
  return (stage.moments >= Moments::Cross ? 14 : 4) * width_of(program, stage) *
         std::min(statistics_tokens, plan.tokens());
}

/// H, D and those over what is held out.
Index sums_bytes(const BlockProgram& program, const PlannedStage& stage) {
  const Index width = width_of(program, stage);
  const int matrices = stage.moments == Moments::HeldOut ? 4 : static_cast<int>(stage.moments);
  return 4 * matrices * width * width;
}

/// What a stage takes on the device while its inputs are summed or its matrices solved. Sums that are spilled come back
/// a strip at a time, of which a half is rounded.
Index stage_bytes(const BlockProgram& program, const PlannedStage& stage, const RunPlan& plan) {
  const MemoryEstimate memory = stage_memory(program, stage, plan);
  const Index batch = batch_bytes(program, stage, plan), sums = sums_bytes(program, stage);
  if (!stage.spill_sums) return memory.statistics + std::max(memory.solver, batch);
  const Index width = width_of(program, stage);
  const Index strip = 6 * width * std::min(width, SpillableMatrix<float, Cuda>::strip_rows);
  return std::max(sums + batch, memory.statistics - sums + strip + memory.solver);
}

/// Weights of a window of tuning: originals of its blocks, of those behind it and of the one whose norm reads their
/// output, and copies of what is trained.
Index window_weights(const Model& model, const TuneWindow& window) {
  Index bytes = 0;
  for (Index block = window.first; block < std::min(window.until + 1, model.blocks()); ++block)
    bytes += (block < window.last ? 2 : 1) * parameter_bytes(model.program(block));
  return bytes;
}

/// Weights that are held while a block is worked on: of every stream and of the block that is brought in ahead; with
/// tuning those of a window that it is in.
Index held_weights(const Model& model, const RunPlan& plan, Index block) {
  if (plan.tune.steps == 0) return (plan.streams() + 1) * weight_bytes(model, plan, block);
  Index most = 0;
  for (const TuneWindow& window : tune_windows(model.blocks(), plan.tune))
    if (window.first <= block && block < window.until) most = std::max(most, window_weights(model, window));
  return most;
}

/// All that is no hidden state while a window is trained.
Index tuner_bytes(const Model& model, const WalkDevice& device, const RunPlan& plan) {
  Index most = 0;
  if (plan.tune.steps > 0)
    for (const TuneWindow& window : tune_windows(model.blocks(), plan.tune))
      most = std::max(most, window_weights(model, window) + device.tuning_bytes(model, plan, window) + device_slack);
  return most;
}

/// Hidden states of a token: of the streams, inside a block; with tuning of the quantised one and perhaps the
/// full-precision one there, and between blocks of the stream ahead and the window's input.
Index hidden_bytes(const Model& model, const RunPlan& plan, Index block) {
  const BlockProgram& program = model.program(block);
  if (plan.tune.steps == 0) return plan.streams() * token_bytes(program);
  const Index inside = plan.moments >= Moments::Cross ? 2 : 1;
  return inside * token_bytes(program) + 2 * 4 * program.slot_widths[static_cast<std::size_t>(program.input)];
}

}  // namespace

Index bytes_beside(const Model& model, RunPlan& plan, Index block, Index weights) {
  const BlockProgram& program = model.program(block);
  const Index chunk = plan.length == 0 ? 0 : std::min(plan.tokens(), chunk_windows<Cuda>(plan.length) * plan.length);
  Index beside = chunk_bytes(program, chunk, plan.products) + rounded_bytes(model, plan, block);
  for (PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)]) {
    stage.spill_sums = false;
    stage.spill_sums = stage.moments != Moments::None &&
                       weights + device_slack + stage_bytes(program, stage, plan) > plan.device.memory_limit;
    if (stage.spill_sums) plan.device.sums_bytes = std::max(plan.device.sums_bytes, sums_bytes(program, stage));
    beside = std::max(beside, stage_bytes(program, stage, plan));
  }
  return beside;
}

void plan_device(const Model& model, const WalkDevice& device, RunPlan& plan) {
  DevicePlan& there = plan.device;
  there.name = device.name();
  there.memory_limit = device.memory_limit();
  there.fixed_bytes = tuner_bytes(model, device, plan);
  Index weights = 0;
  for (Index block = 0; block < model.blocks(); ++block) {
    const Index held = held_weights(model, plan, block);
    weights = std::max(weights, weight_bytes(model, plan, block));
    there.fixed_bytes = std::max(there.fixed_bytes, held + bytes_beside(model, plan, block, held) + device_slack);
    there.token_bytes = std::max(there.token_bytes, hidden_bytes(model, plan, block));
  }
  const Index tokens = plan.streams() > 0 ? plan.tokens() : 0;
  if (tokens > 0) there.resident = resident_tokens(there.memory_limit - there.fixed_bytes, there.token_bytes, tokens);
  MemoryEstimate& host = plan.memory;
  host.statistics = there.sums_bytes;
  host.tuning = 0;
  host.weights = 2 * weights;  // one block read ahead, one on its way to the device
  host.streams = std::max(4 * tokens * model.config().hidden, (tokens - there.resident) * there.token_bytes);
}

std::vector<std::string> device_notes(const RunPlan& plan) {
  const DevicePlan& there = plan.device;
  const Index tokens = plan.streams() > 0 ? plan.tokens() : 0;
  std::vector<std::string> notes;
  if (there.resident < tokens)
    notes.push_back(concat("the device's memory has room for the hidden states of ", there.resident, " of ", tokens,
                           " tokens, the others stay with the host"));
  if (there.sums_bytes > 0)
    notes.push_back(
        "the device's memory has no room for the sums of a stage beside its solver, they are with the host meanwhile");
  return notes;
}

}  // namespace halftone
