// Cuts a text into the words inside which byte pairs are merged: the `pre_tokenizer` of tokenizer.json.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "text/regex.hpp"

namespace halftone::text {

/// One step; every piece of the step before goes through it.
struct SplitStep {
  bool prefix_space = false;   ///< first puts a space before a piece that does not begin with one
  std::optional<Regex> regex;  ///< cuts at the borders of its matches; without one the piece stays whole
  bool only_matches = false;   ///< drops what lies between matches
};

/// GPT-2's split, which `ByteLevel` with `use_regex` stands for.
inline constexpr std::string_view gpt2_split =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<SplitStep> steps) : steps_(std::move(steps)) {}

  /// What one thread needs to split texts. The pre-tokenizer outlives it.
  class Pass {
   public:
    explicit Pass(const PreTokenizer& owner);
    /// Calls `on_word` with every word, in order, none of them empty.
    void split(std::string_view text, const std::function<void(std::string_view)>& on_word);

   private:
    void step(std::size_t index, std::string_view piece, const std::function<void(std::string_view)>& on_word);
    const std::vector<SplitStep>& steps_;
    std::vector<std::optional<RegexScan>> scans_;
  };

 private:
  std::vector<SplitStep> steps_;
};

}  // namespace halftone::text
