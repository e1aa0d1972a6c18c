// Every call of the CUDA runtime goes through here.
#pragma once

#include <cuda_runtime_api.h>

#include "halftone/core/error.hpp"

namespace halftone {

/// Throws Status::OutOfMemory or Status::Device, with what was done and what the runtime says, unless `code` is
/// success. A device that is lost (a kernel's fault, a driver reset) stays so: every later call says it again.
inline void check_cuda(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  fail(code == cudaErrorMemoryAllocation ? Status::OutOfMemory : Status::Device, what, ": ", cudaGetErrorString(code),
       " (", cudaGetErrorName(code), ")");
}

}  // namespace halftone
