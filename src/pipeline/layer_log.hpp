// halftone-log.jsonl: one JSON line a layer, written as it is solved. It belongs to the output, so it holds no times:
// equal runs write equal logs. (Times are in the report and in the journal.)
#pragma once

#include <filesystem>

#include "format/file.hpp"
#include "halftone/pipeline/report.hpp"

namespace halftone {

class LayerLog {
 public:
  /// Begins the log of `folder` anew. Throws Status::Io.
  explicit LayerLog(const std::filesystem::path& folder);
  void append(const LayerReport& layer);

 private:
  std::filesystem::path file_;
  FileDescriptor descriptor_;
  std::int64_t size_ = 0;
};

}  // namespace halftone
