// Calibration and evaluation data: windows of token ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "halftone/core/matrix.hpp"
#include "halftone/text/tokenizer.hpp"

namespace halftone {

/// What is left open is decided by the file: text is cut into `default_windows` of `default_length`, token ids are all
/// taken, in their own length.
struct WindowOptions {
  std::optional<Index> windows;  ///< how many, 1 .. 2^31-1
  std::optional<Index> length;   ///< tokens of one, 1 .. 2^31-1
  std::optional<std::uint64_t>
      seed;  ///< shuffles all windows before the first are taken; without it they stay in order
  static constexpr Index default_windows = 128;
  static constexpr Index default_length = 256;
};

/// Token ids [windows, length], int32, each in 0 .. vocabulary-1.
///
/// `.safetensors`: the one int32 or int64 tensor [windows, length] of the file, used as it is.
/// `.txt`: one document. `.jsonl`: a document a line, in the field "text"; empty ones are passed over.
/// Text: every document begins with the BOS id where the tokenizer has one, documents are joined, and windows are cut
/// one after the other; tokens that do not fill the last one are left over.
///
/// `model` is the checkpoint directory whose tokenizer is used (only for text; empty: Status::Unsupported).
/// `vocabulary`: the model's; ids beyond it mean another tokenizer: Status::InvalidData. Too little text or too few
/// windows: Status::InvalidData, with got and wanted. A length other than that of the ids in a file:
/// Status::ShapeMismatch.
Matrix<std::int32_t> load_windows(const std::filesystem::path& file, const std::filesystem::path& model,
                                  Index vocabulary, const WindowOptions& options);

}  // namespace halftone
