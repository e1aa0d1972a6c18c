// Text to token ids: SentencePiece `tokenizer.model`, byte-level BPE `tokenizer.json`. A tokenizer may be used from
// several threads at once.
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

/// The tokenizer of a checkpoint directory: tokenizer.json (byte-level BPE), tokenizer.model (SentencePiece), or
/// vocab.json with merges.txt (GPT-2, OPT), looked for in this order; a tokenizer.json of another kind gives way to a
/// tokenizer.model beside it. bos() is what the post-processor or the SentencePiece model says; `add_bos_token` in
/// tokenizer_config.json overrules it. Throws Status::NotFound where there is none, Status::Unsupported for a kind that
/// is not read (it says which), Status::InvalidData for a malformed one.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory);

}  // namespace halftone
