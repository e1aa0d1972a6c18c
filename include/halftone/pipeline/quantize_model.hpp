// A whole model, from directory to directory.
#pragma once

#include <filesystem>

#include "halftone/backend/compute_device.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/progress.hpp"
#include "halftone/pipeline/report.hpp"
#include "halftone/pipeline/trace.hpp"

namespace halftone {

struct RunOptions {
  bool resume = false;                       ///< go on with an unfinished run of the same output, if there is one
  std::int64_t shard_bytes = 5'000'000'000;  ///< largest weights file of the output
  ProgressCallback progress;                 ///< may be empty
  MatrixView<const std::int32_t> ids = {};   ///< calibration data [windows, length] in the place of the recipe's
  Trace* trace = nullptr;                    ///< if not null, gets the run's spans
  ComputeDevice device;                      ///< where blocks are run forward and their matrices solved
};

/// Quantises the checkpoint directory `model` into the new directory `out`. It appears under its name only when it is
/// complete and has been read back; until then everything is in `out`.partial, from where an interrupted run resumes
/// and ends in the same bytes. The same bytes for any number of threads; those of another device differ in roundings.
///
/// On a GPU embedding, reading, writing and decoding stay on the host. A device that is not there is refused with
/// Status::Unsupported.
///
/// Throws Status::Conflict if `out` holds anything, or an unfinished run is in the way (see RunOptions::resume) or is
/// of another model, recipe or data set; Status::Cancelled if the callback said so; and what the readers, the plan, the
/// solvers and the writers throw. Finished blocks survive any of these.
RunReport quantize_model(const Context<Cpu>& context, const std::filesystem::path& model,
                         const std::filesystem::path& out, const Recipe& recipe, const RunOptions& options = {});

/// The plan of the same run; writes nothing.
RunPlan plan_model(const Context<Cpu>& context, const std::filesystem::path& model, const Recipe& recipe,
                   const ComputeDevice& device = {});

}  // namespace halftone
