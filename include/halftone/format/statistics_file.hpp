// Input statistics in a file, so that collecting and solving may be two programs, or one run of many machines' parts.
//
//   H, D                     F32 [width, width]     as sums; H symmetric; D only with cross moments
//   tokens                   I64 []
//   held_out.H, .D, .tokens                         the same over the tokens that are held out, where there are any
//
// A safetensors file: other tools read it.
#pragma once

#include <filesystem>

#include "halftone/quant/statistics.hpp"

namespace halftone {

/// Writes `file`, in the place of what has that name. It appears when it is complete. Throws Status::Io.
void save_statistics(const InputStatistics<float>& statistics, const std::filesystem::path& file);

/// Throws Status::NotFound, Status::Io; Status::InvalidData for a file that is no such, or sums that are not finite.
/// The context must outlive the statistics.
InputStatistics<float> load_statistics(const Context<Cpu>& context, const std::filesystem::path& file);

}  // namespace halftone
