#include "pipeline/comparison_room.hpp"

#include <algorithm>  // clamp, max, min
#include <utility>    // move

#include "model/block_bytes.hpp"
#include "model/evaluation_room.hpp"
#include "pipeline/plan_cost.hpp"
#include "pipeline/plan_device.hpp"

namespace halftone {
namespace {

/// Blocks that are there at once: that of the original, one for every recipe, and the next one; beside them what any of
/// the recipes needs while it solves, or a chunk of the evaluation. Weights are float.
Index bytes_beside_streams(const Model& model, const std::vector<ComparedRecipe*>& together, Index block, Index chunk) {
  const BlockProgram& program = model.program(block);
  const Index weights = (static_cast<Index>(together.size()) + 2) * parameter_bytes(program);
  Index beside = chunk_bytes(program, chunk, ProductType::Float);
  for (ComparedRecipe* recipe : together) {
    RunPlan& plan = recipe->plan();
    const Index not_half = parameter_bytes(program) - weight_bytes(model, plan, block);  // so much more is rounded
    beside = std::max(beside, bytes_beside(model, plan, block, weights + not_half) + not_half);
  }
  return weights + beside;
}

/// A recipe that tunes has the device for itself, but for a block whose result the evaluation passes through.
void leave_room(const Model& model, Index chunk, RunPlan& plan) {
  Index passing = 0;
  for (Index block = 0; block < model.blocks(); ++block)
    passing = std::max(
        passing, parameter_bytes(model.program(block)) + chunk_bytes(model.program(block), chunk, ProductType::Float));
  DevicePlan& there = plan.device;
  there.fixed_bytes += passing;
  there.resident = resident_tokens(there.memory_limit - there.fixed_bytes, there.token_bytes, plan.tokens());
}

/// Bytes of all hidden states: calibration data of every recipe that wants any, and of the original if one wants it,
/// all at the same stage; the evaluation of all recipes and the original, one after the other.
double stream_bytes(const Model& model, std::size_t recipes, const std::vector<ComparedRecipe*>& together,
                    Index calibrated, Index evaluated) {
  Index widest = 0, moving = 0, full = 0;
  for (Index block = 0; block < model.blocks(); ++block) widest = std::max(widest, token_bytes(model.program(block)));
  for (const ComparedRecipe* recipe : together) {
    moving += recipe->plan().streams() > 0 ? 1 : 0;
    full = recipe->plan().streams() == 2 ? 1 : full;
  }
  const Index waiting = static_cast<Index>(recipes) * 4 * model.config().hidden;
  return static_cast<double>(calibrated) * static_cast<double>((moving + full) * widest) +
         static_cast<double>(evaluated) * static_cast<double>(waiting + widest);
}

}  // namespace

ComparisonRoom comparison_room(const Model& model, std::deque<ComparedRecipe>& recipes,
                               MatrixView<const std::int32_t> calibration, MatrixView<const std::int32_t> ids,
                               Index memory_limit) {
  const Index length = ids.cols - 1, evaluated = ids.rows * length, calibrated = calibration.rows * calibration.cols;
  const Index chunk = std::min(evaluated, chunk_windows<Cuda>(length) * length);
  std::vector<ComparedRecipe*> together;
  for (ComparedRecipe& recipe : recipes) {
    if (recipe.tunes()) {
      leave_room(model, chunk, recipe.plan());
    } else {
      together.push_back(&recipe);
      recipe.plan().device.sums_bytes = 0;
    }
  }
  Index fixed = head_bytes(model) + 2 * logit_bytes(model, evaluated);
  for (Index block = 0; block < model.blocks(); ++block)
    fixed = std::max(fixed, bytes_beside_streams(model, together, block, chunk));
  fixed += device_slack;
  const double wanted = stream_bytes(model, recipes.size(), together, calibrated, evaluated);
  const double share = std::clamp(static_cast<double>(memory_limit - fixed) / wanted, 0.0, 1.0);
  const auto part = [&](Index tokens) { return static_cast<Index>(share * static_cast<double>(tokens)); };
  for (ComparedRecipe* recipe : together) recipe->plan().device.resident = part(calibrated);
  for (ComparedRecipe& recipe : recipes)
    for (std::string& note : device_notes(recipe.plan())) recipe.note(std::move(note));
  return {part(calibrated), part(evaluated), fixed <= memory_limit};
}

}  // namespace halftone
