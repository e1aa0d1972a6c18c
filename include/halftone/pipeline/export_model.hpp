// A quantised checkpoint as a dense one, for engines that do not read its format.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "halftone/core/dtype.hpp"

namespace halftone {

struct ExportOptions {
  std::int64_t shard_bytes = 5'000'000'000;  ///< largest weights file of the output
  /// Share of the matrices done, 0 .. 1; false stops the work. May be empty.
  std::function<bool(double)> progress;
};

struct ExportReport {
  std::filesystem::path model, output;
  std::string format;             ///< that it was stored in
  DType dtype = DType::F16;       ///< of the weights that were decoded
  std::int64_t matrices = 0;      ///< that were decoded
  std::int64_t output_bytes = 0;  ///< all files of the output
  double seconds = 0;
};

/// Decodes every quantised matrix of the checkpoint directory `model`, of any format, into the new directory `out`, one
/// at a time: weights in the type that config.json names (that of the scales where it names none), rounded half to even
/// and read back; other tensors and small files as they are. `out` appears when it is complete; after a failure nothing
/// is left.
///
/// Throws Status::Unsupported if nothing is quantised there, or the type does not hold a weight; Status::Conflict if
/// `out` holds anything; Status::Cancelled if the callback said so; and what readers and writers throw.
ExportReport export_dense(const std::filesystem::path& model, const std::filesystem::path& out,
                          const ExportOptions& options = {});

}  // namespace halftone
