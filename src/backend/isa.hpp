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

/// Tables that this processor can run, best first. Their products are Eigen's.
std::vector<const CpuKernels*> runnable_kernels();

/// What cpu_kernels() finds where HALFTONE_ISA is `wanted`; empty: no wish. oneDNN multiplies floats if the build has
/// it and no lesser instruction set than the processor's best is asked for.
CpuKernels chosen_kernels(std::string_view wanted);

/// LinearKernels<float>::gemm by oneDNN. Only inside parallel_for, where OpenMP offers it one thread.
void gemm_onednn(bool transpose_a, bool transpose_b, Index m, Index n, Index k, float alpha, const float* A, Index lda,
                 const float* B, Index ldb, float beta, float* C, Index ldc);

/// HalfKernels::units of this processor as oneDNN may use it (ONEDNN_MAX_CPU_ISA in the environment lowers that).
const char* half_units_onednn() noexcept;
/// HalfKernels::gemm by oneDNN. Only inside parallel_for.
void gemm_half_onednn(bool transpose_a, bool transpose_b, Index m, Index n, Index k, const BFloat16* A, Index lda,
                      const BFloat16* B, Index ldb, bool add, float* C, Index ldc);

}  // namespace halftone::detail
