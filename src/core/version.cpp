#include "halftone/core/version.hpp"

namespace halftone {

std::string_view library_version() noexcept { return HALFTONE_VERSION; }

}  // namespace halftone
