// Text to token ids: SentencePiece `tokenizer.model`, byte-level BPE `tokenizer.json`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Ids of the text alone, without BOS or EOS. Invalid UTF-8 is an Error (Status::InvalidData).
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  virtual std::string decode(const std::vector<std::int32_t>& ids) const = 0;
  /// One past the largest id that encode can return.
  virtual std::int32_t vocabulary() const = 0;
  /// Id that begins a document, where the tokenizer has one.
  virtual std::optional<std::int32_t> bos() const = 0;
};

/// The tokenizer of a checkpoint directory (tokenizer.json before tokenizer.model). Throws Status::NotFound where it
/// has none, Status::Unsupported for a kind that is not read (it says which), Status::InvalidData for a malformed one.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory);

}  // namespace halftone
