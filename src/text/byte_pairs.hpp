// Byte-pair encoding of one word: Sennrich, Haddow, Birch, "Neural Machine Translation of Rare Words with Subword
// Units" (2016), on bytes as in GPT-2. Cost: O(n log n) of a word of n bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/string_map.hpp"

namespace halftone::text {

/// Tokens by their bytes, and the merges in order of rank: two tokens and the one that they become.
struct Merge {
  std::int32_t left = 0, right = 0, merged = 0;
};

class BytePairs {
 public:
  /// `whole_words`: a word that is itself a token is that token, whatever the merges say (`ignore_merges`).
  BytePairs(std::string who, StringMap<std::int32_t> tokens, const std::vector<Merge>& merges, bool whole_words);

  /// Appends the tokens of a word. Throws Status::InvalidData for a byte that the vocabulary has no token for.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Rule {
    std::int32_t rank = 0, merged = 0;
  };
  const Rule* rule(std::int32_t left, std::int32_t right) const;

  std::string who_;
  StringMap<std::int32_t> tokens_;
  std::array<std::int32_t, 256> byte_ids_{};       ///< -1: no token
  std::unordered_map<std::uint64_t, Rule> rules_;  ///< left·2^32 + right
  bool whole_words_;
};

}  // namespace halftone::text
