// Exit codes of the command: one for each kind of failure, so that scripts can tell them apart.
#pragma once

#include <string>

#include "halftone/core/error.hpp"

namespace halftone::cli {

/// 0 ok, 2 usage, 3 bad data, 4 input or output, 5 unsupported, 6 not found, 7 conflict, 8 out of memory, 9 device,
/// 70 internal, 130 stopped.
int exit_code(Status status) noexcept;

/// The table of exit codes, for --help.
std::string exit_code_help();

}  // namespace halftone::cli
