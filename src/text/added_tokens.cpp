#include "text/added_tokens.hpp"

#include <algorithm>

#include "text/utf8.hpp"

namespace halftone::text {
namespace {

/// Unicode's White_Space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
  return at;
}

/// Unicode's \w of one character: Alphabetic, marks, decimal digits, connectors, joiners.
bool is_word(std::string_view text, std::size_t at) {
  static const Regex word("added tokens", "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d]");
  RegexScan scan(word);
  scan.start(text.substr(at, utf8_step(text, at).length));
  return scan.next().has_value();
}

bool alone(std::string_view text, std::size_t first, std::size_t last) {
  return (first == 0 || !is_word(text, last_character(text.substr(0, first)))) &&
         (last == text.size() || !is_word(text, last));
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), token_of_(1, -1) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    std::uint32_t node = 0;
    for (const char c : tokens_[i].content) {
      const auto byte = static_cast<unsigned char>(c);
      const auto [child, is_new] =
          children_.try_emplace(std::uint64_t{node} << 8 | byte, static_cast<std::uint32_t>(token_of_.size()));
      if (is_new) token_of_.push_back(-1);
      node = child->second;
    }
    if (tokens_[i].content.empty()) continue;
    token_of_[node] = static_cast<std::int64_t>(i);
    begins_[static_cast<unsigned char>(tokens_[i].content.front())] = true;
  }
}

AddedTokens::Match AddedTokens::longest_at(std::string_view text, std::size_t at) const {
  Match longest;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    const auto child = children_.find(std::uint64_t{node} << 8 | static_cast<unsigned char>(text[i]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_of_[node] >= 0) longest = {i + 1 - at, static_cast<std::size_t>(token_of_[node])};
  }
  return longest;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& on_text,
                        const std::function<void(std::int32_t)>& on_token) const {
  std::size_t done = 0;  // up to here everything has been handed out
  for (std::size_t at = 0; at < text.size();) {
    const Match match = begins_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : Match{};
    if (match.length == 0) {
      ++at;
      continue;
    }
    std::size_t first = at, last = at + match.length;
    at = last;
    const AddedToken& token = tokens_[match.token];
    if (token.single_word && !alone(text, first, last)) continue;
    while (token.lstrip && first > done) {
      const std::size_t before = last_character(text.substr(0, first));
      if (!is_space(utf8_step(text, before).code)) break;
      first = before;
    }
    while (token.rstrip && last < text.size()) {
      const Utf8Step behind = utf8_step(text, last);
      if (!is_space(behind.code)) break;
      last += behind.length;
    }
    if (first > done) on_text(text.substr(done, first - done));
    on_token(token.id);
    done = std::max(done, last);
  }
  if (done < text.size()) on_text(text.substr(done));
}

}  // namespace halftone::text
