// Which processor computes, as a command line or a program names it.
#pragma once

#include <string>
#include <string_view>

#include "halftone/core/view.hpp"

namespace halftone {

struct ComputeDevice {
  bool cuda = false;       ///< else the CPU
  int ordinal = 0;         ///< of the GPU, as the driver counts them
  Index memory_limit = 0;  ///< bytes of its memory that a run takes at most; 0: what is free
};

/// "cpu", "cuda" (the first GPU) or "cuda:N". Throws Status::InvalidArgument for anything else.
ComputeDevice parse_device(std::string_view text);

}  // namespace halftone
