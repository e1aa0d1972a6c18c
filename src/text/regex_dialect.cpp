// From Oniguruma's syntax (Ruby's, in which tokenizer.json is written) to PCRE2's.
#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "text/regex.hpp"

namespace halftone::text {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
constexpr bool is_punctuation(char c) { return c > ' ' && c < 0x7f && !is_digit(c) && !is_letter(c); }

class Translation {
 public:
  Translation(std::string_view who, std::string_view pattern) : who_(who), in_(pattern) {}

  std::string run() {
    while (at_ < in_.size()) {
      switch (in_[at_]) {
        case '\\': escape(); break;
        case '[': set(); break;
        case '(': group(); break;
        case '{': repeat(); break;
        case '^':
        case '$': refuse(in_.substr(at_, 1)); break;
        default: out_ += in_[at_++];
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(Status::Unsupported, who_, ": the split pattern has ", in_quotes(what), " at byte ", at_,
         ", which is not read here: ", shortened(in_));
  }
  char peek(std::size_t ahead) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }

  void escape() {
    const char c = peek(1);
    switch (c) {
      case 's': return replace(2, "\\p{White_Space}");
      case 'S': return replace(2, "\\P{White_Space}");
      case 'd': return replace(2, "\\p{Nd}");
      case 'D': return replace(2, "\\P{Nd}");
      case 'p':
      case 'P': return property();
      case 'u': return code_point(4);
      case 'r':
      case 'n':
      case 't':
      case 'f': return copy(2);
      default:
        if (!is_punctuation(c)) refuse(in_.substr(at_, 2));
        copy(2);
    }
  }

  /// \p{Name}, \P{Name}, \p{^Name}: PCRE2 judges the name.
  void property() {
    std::size_t length = 3;
    if (peek(2) != '{') refuse(in_.substr(at_, 2));
    if (peek(length) == '^') ++length;
    while (is_letter(peek(length)) || peek(length) == '_') ++length;
    if (peek(length) != '}') refuse(in_.substr(at_, length));
    copy(length + 1);
  }

  /// \uHHHH
  void code_point(std::size_t digits) {
    for (std::size_t i = 0; i < digits; ++i)
      if (!is_hex(peek(2 + i))) refuse(in_.substr(at_, 2));
    out_ += "\\x{" + std::string(in_.substr(at_ + 2, digits)) + '}';
    at_ += 2 + digits;
  }

  /// [...]: neither sets in sets nor intersections, which Oniguruma has and PCRE2 reads as plain characters.
  void set() {
    copy(peek(1) == '^' ? 2 : 1);
    if (peek(0) == ']') refuse("an empty set");
    while (peek(0) != ']') {
      if (at_ >= in_.size()) refuse("an unclosed set");
      if (in_[at_] == '[' || in_.substr(at_, 2) == "&&") refuse("a set inside a set");
      if (in_[at_] == '\\')
        escape();
      else
        copy(1);
    }
    copy(1);
  }

  void group() {
    if (peek(1) != '?') return copy(1);
    for (std::string_view kind : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (in_.substr(at_, kind.size()) == kind) return copy(kind.size());
    refuse(in_.substr(at_, 4));
  }

  /// {n}, {n,}, {n,m}. A suffix means something else in each library.
  void repeat() {
    std::size_t length = 1;
    while (is_digit(peek(length))) ++length;
    const bool counted = length > 1;
    if (peek(length) == ',') do
        ++length;
      while (is_digit(peek(length)));
    if (!counted || peek(length) != '}') refuse("{");
    const char suffix = peek(length + 1);
    if (suffix == '+' || suffix == '?') refuse(in_.substr(at_, length + 2));
    copy(length + 1);
  }

  void copy(std::size_t count) {
    out_ += in_.substr(at_, count);
    at_ += count;
  }
  void replace(std::size_t count, std::string_view text) {
    out_ += text;
    at_ += count;
  }

  std::string_view who_, in_;
  std::string out_;
  std::size_t at_ = 0;
};

}  // namespace

std::string pcre2_pattern(std::string_view who, std::string_view pattern) { return Translation(who, pattern).run(); }

}  // namespace halftone::text
