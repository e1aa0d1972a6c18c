#include "pipeline/run_setup.hpp"

namespace halftone {

Matrix<std::int32_t> load_calibration(const Model& model, const Recipe& recipe, const RunPlan& plan) {
  if (plan.moments == Moments::None) return {};
  return load_windows(recipe.calibration.file, model.checkpoint().directory(), model.vocabulary(),
                      recipe.calibration.windows);
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
