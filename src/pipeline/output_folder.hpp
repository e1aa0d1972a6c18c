// Where a run puts its files, and how they come to appear at once under their final name.
//
//   OUT                     absent or empty until the end
//   OUT.partial/journal.jsonl
//   OUT.partial/output/     everything that OUT will hold; renamed to OUT at the very end
#pragma once

#include <filesystem>

namespace halftone {

class OutputFolder {
 public:
  /// Looks, and creates nothing. Throws Status::Conflict if `out` holds anything, or if there is an unfinished run and
  /// `resume` is false: the message says how to resume or discard it. Status::NotFound if the folder above is missing.
  OutputFolder(const std::filesystem::path& out, bool resume);

  const std::filesystem::path& final_path() const { return final_; }
  const std::filesystem::path& partial() const { return partial_; }
  std::filesystem::path staging() const { return partial_ / "output"; }
  std::filesystem::path journal() const { return partial_ / "journal.jsonl"; }
  /// True if there was an unfinished run when the object was made.
  bool resumed() const { return resumed_; }
  /// True if an earlier run was killed between renaming its result and clearing up: there is nothing left to do but
  /// remove_partial().
  bool complete() const { return complete_; }

  /// Creates the folders. Throws Status::Io.
  void create() const;
  /// Removes what an unfinished run had written, but not its journal. Throws Status::Io.
  void clear_staging() const;
  /// Flushes every file of the staging folder, renames it to its final name and removes the rest. Throws Status::Io,
  /// and Status::Conflict if something has meanwhile appeared under the final name.
  void publish() const;
  /// Removes OUT.partial.
  void remove_partial() const;
  /// The same, as far as it goes, after a failure.
  void discard() const noexcept;

 private:
  std::filesystem::path final_, partial_;
  bool resumed_ = false, complete_ = false;
};

/// A small file with all its bytes; what a killed run left of it is replaced. Throws Status::Io.
void copy_small_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// Bytes of all regular files below a folder.
std::int64_t folder_bytes(const std::filesystem::path& folder);

}  // namespace halftone
