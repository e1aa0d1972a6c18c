// A file's bytes in memory, read by the system when they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace halftone {

/// Read-only mapping of a regular file. The file must not be truncated while it is mapped (the system would then kill
/// the process at the next touch): finished checkpoints are replaced by renaming, never shortened.
class MappedFile {
 public:
  /// Throws Status::NotFound, or Status::Io with the system's reason.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace halftone
