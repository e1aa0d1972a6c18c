// What the system says about this process's memory.
#pragma once

#include <cstdint>

namespace halftone {

/// Resident bytes now, and the most there ever were. 0 where the system does not say (it is not Linux).
std::int64_t resident_bytes() noexcept;
std::int64_t peak_resident_bytes() noexcept;

}  // namespace halftone
