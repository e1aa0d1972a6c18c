// The journal of a run: what it is a run of, and which blocks are finished. Append-only, one JSON line an entry,
// flushed to the disk before the next block begins. A line that a crash tore is recognised by its check sum and
// dropped.
//
//   {"check":"<xxh64 of the entry's text>","entry":{"run":{fingerprint}}}
//   {"check":"...","entry":{"block":0,"hash":"<of the tensors written>","layers":[...]}}
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/file.hpp"
#include "halftone/pipeline/report.hpp"

namespace halftone {

/// A finished block. Its tensors are on the disk, and hash to `hash` in the order of the plan.
struct JournalBlock {
  Index block = 0;
  std::string hash;
  std::vector<LayerReport> layers;
};

class Journal {
 public:
  /// Opens `file` for the run that `fingerprint` describes, or begins it. The file stays locked while the object lives.
  /// Throws Status::Conflict if another process holds it, or if it records another run: the message says what differs.
  Journal(const std::filesystem::path& file, const nlohmann::json& fingerprint);

  /// Blocks 0, 1, ... that are finished.
  const std::vector<JournalBlock>& blocks() const { return blocks_; }
  /// Records the next block. Throws Status::Io.
  void append(const JournalBlock& block);
  /// Forgets the blocks from `count` on.
  void keep_first(std::size_t count);

 private:
  void begin(const nlohmann::json& fingerprint);
  void read(const nlohmann::json& fingerprint);
  void write_entry(const nlohmann::json& entry);

  std::filesystem::path file_;
  FileDescriptor descriptor_;
  std::int64_t size_ = 0;                 ///< bytes of whole lines
  std::int64_t run_end_ = 0;              ///< of them, the first
  std::vector<std::int64_t> block_ends_;  ///< size after each block's line
  std::vector<JournalBlock> blocks_;
};

/// An entry as a line (without its end) that shows whether it is whole: {"check": <xxh64 of the entry's text>, "entry":
/// ...}.
std::string checked_line(const nlohmann::json& entry);
/// The entry of such a line; nothing if it is torn or damaged.
std::optional<nlohmann::json> parse_checked_line(std::string_view line);

/// The first difference between two documents: "/recipe/options/bits is 3 there and 4 here". Empty if they are equal.
std::string first_difference(const nlohmann::json& there, const nlohmann::json& here, const std::string& path = "");

}  // namespace halftone
