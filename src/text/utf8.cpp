#include "text/utf8.hpp"

#include "halftone/core/error.hpp"

namespace halftone::text {
namespace {

/// What may follow a lead byte: `count` continuation bytes, the first of them in low .. high, the others in 80 .. BF.
struct Continuation {
  std::size_t count = 0;
  unsigned char low = 0x80, high = 0xbf;
};

Continuation continuation_of(unsigned char lead) noexcept {
  if (lead >= 0xc2 && lead <= 0xdf) return {1, 0x80, 0xbf};
  if (lead == 0xe0) return {2, 0xa0, 0xbf};
  if (lead == 0xed) return {2, 0x80, 0x9f};
  if (lead >= 0xe1 && lead <= 0xef) return {2, 0x80, 0xbf};
  if (lead == 0xf0) return {3, 0x90, 0xbf};
  if (lead >= 0xf1 && lead <= 0xf3) return {3, 0x80, 0xbf};
  if (lead == 0xf4) return {3, 0x80, 0x8f};
  return {};
}

}  // namespace

Utf8Step utf8_step(std::string_view text, std::size_t at) noexcept {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return {1, true, lead};
  const Continuation wanted = continuation_of(lead);
  if (wanted.count == 0) return {};
  char32_t code = lead & (0x3fu >> wanted.count);
  for (std::size_t i = 1; i <= wanted.count; ++i) {
    if (at + i >= text.size()) return {i, false, 0};
    const auto byte = static_cast<unsigned char>(text[at + i]);
    const unsigned char low = i == 1 ? wanted.low : 0x80, high = i == 1 ? wanted.high : 0xbf;
    if (byte < low || byte > high) return {i, false, 0};
    code = code << 6 | (byte & 0x3fu);
  }
  return {wanted.count + 1, true, code};
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (!step.valid) return at;
    at += step.length;
  }
  return std::nullopt;
}

void require_utf8(std::string_view who, std::string_view text) {
  if (const auto at = first_invalid_utf8(text))
    fail(Status::InvalidData, who, ": the text is not UTF-8, byte ", *at, " is ",
         static_cast<int>(static_cast<unsigned char>(text[*at])));
}

void append_utf8(char32_t code, std::string& text) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (step.valid)
      out.append(text, at, step.length);
    else
      append_utf8(0xfffd, out);
    at += step.length;
  }
  return out;
}

}  // namespace halftone::text
