// The checkpoint that a run is writing: what is copied, what is encoded, and its reading back.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "halftone/format/safetensors_writer.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/report.hpp"
#include "halftone/pipeline/trace.hpp"
#include "pipeline/written_tensors.hpp"

namespace halftone {

/// config.json of the quantised model.
Json described_config(const RunPlan& plan, const Checkpoint& source);

class OutputModel {
 public:
  /// Makes the files of the plan in `folder`, at their full size, or goes on with them. `plan`, `source` and
  /// `trace`, which may be null, must outlive the object. Throws what ShardedWriter throws.
  OutputModel(const RunPlan& plan, const Checkpoint& source, const std::filesystem::path& folder, WriteMode mode,
              std::int64_t shard_bytes, Trace* trace);

  /// Copies the tensors and small files that stay as they are. `go_on` is asked after each tensor; false: returns
  /// early.
  void copy_rest(const std::function<bool()>& go_on);
  /// Encodes a matrix, puts its tensors in their places, reads them back through the format's reader and compares with
  /// the solver's codes. Returns a hash of the bytes, which continues `seed`. Throws Status::Io; Status::Internal if
  /// what was read differs.
  std::uint64_t write(const PlannedMatrix& planned, const QuantizedMatrix& matrix, std::uint64_t seed);
  /// The same hash of what the files hold now.
  std::uint64_t stored_hash(const PlannedMatrix& planned, std::uint64_t seed) const;
  /// An earlier run has written the matrix.
  void mark_written(const PlannedMatrix& planned);
  /// What an engine will compute with, from the files.
  Matrix<float> stored_values(const PlannedMatrix& planned) const;
  /// Flushes the tensors to the disk.
  void sync();
  /// Completes the folder: weights under their final names, config.json. Then opens it as a checkpoint and compares
  /// what it holds with the plan.
  void finish();

 private:
  void check_result() const;

  const RunPlan& plan_;
  const Checkpoint& source_;
  const Format& format_;
  Trace* trace_;
  std::filesystem::path folder_;
  Json config_;
  ShardedWriter writer_;
  WrittenTensors written_;
};

}  // namespace halftone
