// The instruction sets of this build, and the choice among them.
#pragma once

#include <string_view>
#include <vector>

#include "halftone/backend/cpu_kernels.hpp"

namespace halftone::detail {

const CpuKernels& kernels_baseline();
#if defined(HALFTONE_X86_LEAVES)
const CpuKernels& kernels_avx2();
const CpuKernels& kernels_avx512();
#endif

/// Tables that this processor can run, best first.
std::vector<const CpuKernels*> runnable_kernels();

/// What cpu_kernels() finds where HALFTONE_ISA is `wanted`; empty: no wish.
const CpuKernels& chosen_kernels(std::string_view wanted);

}  // namespace halftone::detail
