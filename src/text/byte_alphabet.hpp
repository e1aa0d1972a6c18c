// The alphabet of byte-level BPE: every byte is written as one printable character, so that tokens are text.
// Bytes that print in Latin-1 stand for themselves, the other 68 are U+0100, U+0101, ... in order: a space is "Ġ".
// Source: Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), the code's bytes_to_unicode().
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace halftone::text {

/// The bytes that `token` writes; nothing if it holds a character that is not of the alphabet. `token` is valid UTF-8.
std::optional<std::string> bytes_of_token(std::string_view token);

}  // namespace halftone::text
