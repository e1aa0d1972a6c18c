// Calibration and evaluation data: windows of token ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "halftone/core/matrix.hpp"
#include "halftone/text/tokenizer.hpp"

namespace halftone {

struct WindowOptions {
  Index windows = 128;                ///< how many
  Index length = 256;                 ///< tokens of one
  std::optional<std::uint64_t> seed;  ///< shuffles the documents' windows; without it they stay in order
};

/// Token ids [windows, length], int32, each in 0 .. vocabulary-1.
///
/// `.safetensors`: one int32 tensor [windows, length], used as it is (the first `windows` rows; its own length).
/// `.txt`: one document. `.jsonl`: a document a line, in the field "text".
/// Text: every document begins with the BOS id where the tokenizer has one, documents are joined, and windows are cut one
/// after the other; with a seed all windows are shuffled before the first `windows` are taken.
///
/// `model` is the checkpoint directory whose tokenizer is used (only for text). `vocabulary`: the model's; ids beyond it
/// mean another tokenizer: Status::InvalidData. Too little text: Status::InvalidData, with got and wanted.
Matrix<std::int32_t> load_windows(const std::filesystem::path& file, const std::filesystem::path& model,
                                  Index vocabulary, const WindowOptions& options);

}  // namespace halftone
