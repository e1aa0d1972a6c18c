// What the command prints: results on stdout, everything else on stderr.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "halftone/backend/compute_device.hpp"

namespace halftone::cli {

/// Flags that every command has.
struct Common {
  int threads = 0;  ///< 0: all that this process may use
  bool json = false;
  ComputeDevice device;
};

/// Prints to stdout and flushes. Throws Status::Io if stdout does not take it.
void print(std::string_view text);
/// One JSON document, indented.
void print_json(const nlohmann::json& document);
/// A line on stderr.
void complain(std::string_view text);

}  // namespace halftone::cli
