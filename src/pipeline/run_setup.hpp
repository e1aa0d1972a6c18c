// What a run begins with, wherever its tensors go.
#pragma once

#include "halftone/core/matrix.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/report.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/read_ahead.hpp"
#include "pipeline/walk_device.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

/// The plan of a run over calibration data of the given size; both 0: over that of the recipe.
/// `device`: null for the CPU. `alone`: the run has the device's memory for itself, and notes say what finds no room.
RunPlan plan_over(const Context<Cpu>& context, const Model& model, const Recipe& recipe, Index windows, Index length,
                  const WalkDevice* device = nullptr, bool alone = true);

/// Calibration ids [windows, length] of a run: those given, or where there are none, those of the recipe; none where no
/// method of the plan wants any.
class CalibrationIds {
 public:
  /// Throws what load_windows throws. `given` must outlive the object.
  CalibrationIds(const Model& model, const Recipe& recipe, const RunPlan& plan, MatrixView<const std::int32_t> given);
  MatrixView<const std::int32_t> view() const { return given_.rows > 0 ? given_ : loaded_.view(); }

 private:
  MatrixView<const std::int32_t> given_;
  Matrix<std::int32_t> loaded_;
};

/// Walks over the model, on a device or, where there is none (null), the CPU: with tuning where the plan asks for it.
void walk_model(const Context<Cpu>& context, const Model& model, const RunPlan& plan,
                MatrixView<const std::int32_t> ids, Reading reading, WalkOutput& output, ProgressMeter& meter,
                const WalkDevice* device = nullptr);

/// A report with what the plan knows of it.
RunReport begin_report(const RunPlan& plan, const Checkpoint& checkpoint);

}  // namespace halftone
