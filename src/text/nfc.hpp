// Unicode normalisation form C, through ICU where the build has it.
#pragma once

#include <string>
#include <string_view>

namespace halftone::text {

/// Whether this build can normalise.
bool has_nfc() noexcept;

/// The text, which is valid UTF-8, in form C. Throws Status::Unsupported where has_nfc() is false.
std::string nfc(std::string_view text);

}  // namespace halftone::text
