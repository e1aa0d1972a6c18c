// What a run begins with, wherever its tensors go.
#pragma once

#include "halftone/core/matrix.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/report.hpp"

namespace halftone {

/// The recipe's calibration ids [windows, length]; none where no method of the plan wants them. Throws what
/// load_windows throws.
Matrix<std::int32_t> load_calibration(const Model& model, const Recipe& recipe, const RunPlan& plan);

/// A report with what the plan knows of it.
RunReport begin_report(const RunPlan& plan, const Checkpoint& checkpoint);

}  // namespace halftone
