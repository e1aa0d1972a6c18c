// Split patterns of tokenizers, through PCRE2 with Unicode properties.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace halftone::text {

/// Part [first, last) of a text, in bytes.
struct Span {
  std::size_t first = 0, last = 0;
};

/// The pattern in PCRE2's words. tokenizer.json is written for Oniguruma; this takes the part of its syntax that split
/// patterns use and where both libraries agree, and rewrites \s (which PCRE2 lets match U+180E) and \d. Throws
/// Status::Unsupported, naming `who` and the construct, for anything else: ^ $ \w \b, nested sets, inline options, ...
std::string pcre2_pattern(std::string_view who, std::string_view pattern);

/// A compiled pattern. May be used by several threads, each with its own scan.
class Regex {
 public:
  /// `pattern` as in tokenizer.json. Throws Status::Unsupported or Status::InvalidData, naming `who`.
  Regex(std::string_view who, std::string_view pattern);

 private:
  friend class RegexScan;
  std::string who_;
  std::shared_ptr<void> code_;  ///< pcre2_code
};

/// Finds the matches of one text after the other. The regex outlives it.
class RegexScan {
 public:
  explicit RegexScan(const Regex& regex);
  ~RegexScan();
  RegexScan(RegexScan&&) noexcept;

  /// Begins with a new text: valid UTF-8, which must stay where it is.
  void start(std::string_view text) noexcept;
  /// The next match, leftmost first; nothing after the last. An empty match is followed by the search one character on.
  /// Throws Status::InvalidData where the pattern needs too much time or memory on this text.
  std::optional<Span> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone::text
