// Byte-level BPE as tokenizer.json describes it: GPT-2, Llama 3, Qwen.
//
// text -> added tokens cut out -> normalised -> words -> byte pairs merged inside each word -> ids
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "halftone/text/tokenizer.hpp"
#include "text/added_tokens.hpp"
#include "text/byte_pairs.hpp"
#include "text/pre_tokenizer.hpp"

namespace halftone::text {

/// Everything that tokenizer.json says, taken apart.
struct ByteLevelParts {
  std::string who;                                      ///< the file, for messages
  StringMap<std::int32_t> tokens;                       ///< bytes of a token -> id
  std::unordered_map<std::int32_t, std::string> bytes;  ///< id -> what it decodes to
  std::vector<Merge> merges;
  bool whole_words = false;
  std::vector<AddedToken> added;
  bool nfc = false;
  std::vector<SplitStep> splits;
  std::optional<std::int32_t> bos;  ///< what the post-processor puts in front
};

/// Reads a tokenizer.json. Throws Status::Unsupported, naming the component, for anything that it would have to ignore;
/// Status::InvalidData for a malformed one.
ByteLevelParts read_tokenizer_json(std::string_view who, const nlohmann::json& file);

class ByteLevelTokenizer final : public Tokenizer {
 public:
  explicit ByteLevelTokenizer(ByteLevelParts parts);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  /// Broken UTF-8, which windows cut inside a character give, becomes U+FFFD.
  std::string decode(const std::vector<std::int32_t>& ids) const override;
  std::int32_t vocabulary() const override { return vocabulary_; }
  std::optional<std::int32_t> bos() const override { return bos_; }

  /// The id of a token written as text ("<s>"), added or not.
  std::optional<std::int32_t> find(std::string_view token) const;
  void set_bos(std::optional<std::int32_t> id) { bos_ = id; }

 private:
  std::string who_;
  std::unordered_map<std::int32_t, std::string> bytes_;
  BytePairs pairs_;
  AddedTokens original_, normalised_;  ///< looked for before and after normalisation
  bool nfc_;
  PreTokenizer words_;
  std::optional<std::int32_t> bos_;
  std::int32_t vocabulary_ = 0;
};

}  // namespace halftone::text
