// Tokens that are found in the text as they stand, before anything else looks at it: "<|endoftext|>".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/regex.hpp"

namespace halftone::text {

/// One entry of `added_tokens` in tokenizer.json.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  ///< only where no word character touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< and that behind it
  bool normalized = false;   ///< looked for in the normalised text, not in the original
};

/// Finds a set of tokens in texts: the leftmost match, of those the longest, then on behind it.
class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  /// Cuts the text: `on_text` gets what lies between tokens (never empty), `on_token` the id of each token, in order.
  void split(std::string_view text, const std::function<void(std::string_view)>& on_text,
             const std::function<void(std::int32_t)>& on_token) const;

 private:
  struct Match {
    std::size_t length = 0;
    std::size_t token = 0;
  };
  Match longest_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  bool begins_[256] = {};                                      ///< bytes with which a token begins
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  ///< trie: node·256 + byte -> node; the root is 0
  std::vector<std::int64_t> token_of_;                         ///< node -> index of the token that ends there, or -1
};

}  // namespace halftone::text
