#include "pipeline/run_setup.hpp"

#include <tuple>    // tie
#include <utility>  // move

#include "pipeline/plan_device.hpp"
#include "pipeline/tuned_walk.hpp"
#include "pipeline/walk.hpp"

namespace halftone {

RunPlan plan_over(const Context<Cpu>& context, const Model& model, const Recipe& recipe, Index windows, Index length,
                  const WalkDevice* device, bool alone) {
  if (windows == 0) std::tie(windows, length) = calibration_shape(recipe.calibration);
  if (device == nullptr) return make_plan(context, model, recipe, windows, length);
  constexpr bool half_units = true;  // of every GPU that the CUDA backend runs on
  RunPlan plan = make_plan(context, model, recipe, windows, length, half_units);
  plan_device(model, *device, plan);
  if (!alone) return plan;
  for (std::string& note : device_notes(plan)) plan.notes.push_back(std::move(note));
  return plan;
}

CalibrationIds::CalibrationIds(const Model& model, const Recipe& recipe, const RunPlan& plan,
                               MatrixView<const std::int32_t> given) {
  if (plan.streams() == 0) return;
  given_ = given;
  if (given.rows == 0)
    loaded_ = load_windows(recipe.calibration.file, model.checkpoint().directory(), model.vocabulary(),
                           recipe.calibration.windows);
}

void walk_model(const Context<Cpu>& context, const Model& model, const RunPlan& plan,
                MatrixView<const std::int32_t> ids, Reading reading, WalkOutput& output, ProgressMeter& meter,
                const WalkDevice* device) {
  if (device != nullptr)
    device->walk(context, model, plan, ids, reading, output, meter);
  else if (plan.tune.steps > 0)
    TunedWalk<Cpu>(context, model, plan, ids, output, meter).run();
  else
    Walk<Cpu>(context, model, plan, ids, reading, output, meter).run();
}

RunReport begin_report(const RunPlan& plan, const Checkpoint& checkpoint) {
  RunReport report;
  report.model = checkpoint.name();
  report.format = plan.format;
  report.bits_per_weight = plan.bits_per_weight;
  report.code_bits_per_weight = plan.code_bits_per_weight;
  report.model_bits_per_weight = plan.model_bits_per_weight;
  report.notes = plan.notes;
  return report;
}

}  // namespace halftone
