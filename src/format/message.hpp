// Text of strangers inside our messages: names from a hostile header must not flood or steer a terminal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace halftone {

/// `text` with control characters replaced by '?', cut to 160 bytes.
inline std::string shortened(std::string_view text) {
  constexpr std::size_t limit = 160;
  std::string clean(text.substr(0, limit));
  for (char& c : clean)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  if (text.size() > limit) clean += "...";
  return clean;
}

/// shortened, between quotation marks (`quoted` would find std::quoted by its argument).
inline std::string in_quotes(std::string_view text) { return "'" + shortened(text) + "'"; }

/// "[2, 31]"
inline std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

}  // namespace halftone
