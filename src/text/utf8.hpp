// UTF-8, as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace halftone::text {

/// What stands at one place of a text: a code point of `length` bytes, or `length` bytes that begin none.
struct Utf8Step {
  std::size_t length = 1;
  bool valid = false;
  char32_t code = 0;
};

/// `at` < text.size(). A broken sequence spans its longest correct beginning, at least one byte.
Utf8Step utf8_step(std::string_view text, std::size_t at) noexcept;

/// Offset of the first byte that belongs to no code point; nothing for valid text.
std::optional<std::size_t> first_invalid_utf8(std::string_view text) noexcept;

/// Throws Status::InvalidData, naming `who` and the offset, unless the text is valid.
void require_utf8(std::string_view who, std::string_view text);

void append_utf8(char32_t code, std::string& text);

/// The text with every broken sequence replaced by U+FFFD.
std::string replace_invalid_utf8(std::string_view text);

}  // namespace halftone::text
