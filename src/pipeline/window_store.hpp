// What a window of tuning has trained and later windows train on, on the disk, so that a run that stops goes on behind
// the window. One file, replaced by the next window's as a whole:
//
//   OUT.partial/window-00003.safetensors
//     <module>.*   the window's matrices in the native format
//     state        U8, one line as in the journal: {"run": <hash>, "window": 3, "hash": <of the tensors>, "layers":
//     [...]}
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>  // exchange

#include "pipeline/walk_output.hpp"

namespace halftone {

class WindowStore {
 public:
  /// Looks for what an earlier run of that fingerprint has kept in `folder`.
  WindowStore(const RunPlan& plan, std::filesystem::path folder, const nlohmann::json& fingerprint);

  /// What was found, if it is whole; it is handed out once.
  std::optional<KeptWindow> take() { return std::exchange(found_, std::nullopt); }
  /// What is to be said of a file that is not; else empty.
  const std::string& note() const { return note_; }
  /// Flushes the matrices to the disk in the place of what was kept before. Throws Status::Io.
  void keep(std::size_t window, const SolvedMatrices& matrices);

  /// True if a run in that folder has kept anything.
  static bool any_in(const std::filesystem::path& folder);

 private:
  std::optional<KeptWindow> load(const std::filesystem::path& file) const;

  const RunPlan& plan_;
  std::filesystem::path folder_;
  std::string run_;  ///< hash of the fingerprint
  std::optional<KeptWindow> found_;
  std::string note_;
};

}  // namespace halftone
