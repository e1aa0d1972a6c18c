// --profile FILE: what a run did when, for a timeline viewer, and on stderr what each phase took.
#pragma once

#include <functional>
#include <string>

#include "halftone/pipeline/quantize_model.hpp"

namespace halftone::cli {

/// Runs `run` with a trace, writes it to `file` however the run ends, and prints the phases to stderr unless `quiet`.
/// Without a file there is no trace. `file` is opened, and emptied, before the run begins. Throws Status::Io, and what
/// `run` throws.
RunReport profiled(const std::string& file, bool quiet, const std::function<RunReport(Trace*)>& run);

}  // namespace halftone::cli
