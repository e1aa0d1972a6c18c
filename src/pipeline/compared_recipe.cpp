#include "pipeline/compared_recipe.hpp"

#include <algorithm>  // find
#include <utility>    // move

#include "pipeline/quantised_stream.hpp"
#include "pipeline/run_setup.hpp"

namespace halftone {
namespace {

RunPlan plan_of(const Context<Cpu>& context, const Model& model, const NamedRecipe& named,
                const WalkDevice* device) try {
  return plan_over(context, model, named.recipe, 0, 0, device, false);
} catch (const Error& error) {
  fail(error.status(), "recipe '", named.name, "': ", error.what());
}

std::string methods_of(const RunPlan& plan) {
  std::vector<std::string> names;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices)
        if (std::find(names.begin(), names.end(), planned.method) == names.end()) names.push_back(planned.method);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

ComparedRecipe::ComparedRecipe(const Context<Cpu>& context, const Model& model, const NamedRecipe& recipe,
                               const WalkDevice* device)
    : plan_(plan_of(context, model, recipe, device)), plain_values_(!find_format(plan_.format).stores_codes()) {
  row_.name = recipe.name;
  row_.method = methods_of(plan_);
  row_.format = plan_.format;
  row_.notes = plan_.notes;
}

const LayerReport& ComparedRecipe::count(const PlannedMatrix& planned, const QuantizedMatrix& solved) {
  LayerReport layer = layer_report(planned, solved.report);
  const Index bits = stored_bits(solved);
  if (plain_values_) layer.bits_per_weight = static_cast<double>(bits) / static_cast<double>(layer.rows * layer.cols);
  stored_bits_ += bits;
  row_.solve_seconds += solved.report.seconds;
  return row_.layers.emplace_back(std::move(layer));
}

ComparedModel ComparedRecipe::finish(const Evaluation& evaluation, double block_weights, double block_bits) {
  Index stored_bytes = 0;
  for (const auto& stages : plan_.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        stored_bytes += planned.stored_bytes;
        block_bits -= static_cast<double>(dtype_bits(planned.matrix.dtype)) *
                      static_cast<double>(planned.matrix.rows * planned.matrix.cols);
      }
  const Index bits = plain_values_ ? stored_bits_ : 8 * stored_bytes;  // block_bits: what is left as it was
  row_.evaluation = evaluation;
  row_.bits_per_weight = (static_cast<double>(bits) + block_bits) / block_weights;
  row_.bytes = plan_.output_bytes - stored_bytes + (bits + 7) / 8;
  return std::move(row_);
}

}  // namespace halftone
