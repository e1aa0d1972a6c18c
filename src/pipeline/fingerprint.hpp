// What a run is a run of. Two runs with equal fingerprints end in the same bytes.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "halftone/pipeline/plan.hpp"

namespace halftone {

/// The checkpoint's config and every byte of its tensors, method and options of every matrix, format, size of the
/// output's files, calibration ids, library version, instruction set, who multiplies matrices, and the kind of GPU that
/// computes, if any. Not: threads, limits of memory, names of files and folders.
///
/// All tensors are read once, on all threads and through XXH64: about the time that it takes to copy the checkpoint. A
/// cheaper key (sizes, dates, samples) would miss a weight that was edited, and every byte is needed later anyway.
nlohmann::json run_fingerprint(const Context<Cpu>& context, const Model& model, const RunPlan& plan,
                               std::int64_t shard_bytes, MatrixView<const std::int32_t> ids);

}  // namespace halftone
