// What an action throws, as text.
#pragma once

#include <string>

#include "halftone/core/error.hpp"

namespace halftone::test {

/// "status: message" of the halftone::Error that `action` throws; empty if it throws none.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(status_name(error.status())) + ": " + error.what();
  }
  return "";
}

}  // namespace halftone::test
