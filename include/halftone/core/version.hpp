// Which Halftone this is.
#pragma once

#include <string_view>

namespace halftone {

/// "0.1.0", the version in CMakeLists.txt. Files say it, and a run resumes only under the version that began it.
std::string_view library_version() noexcept;

}  // namespace halftone
