// The leaf kernels for AVX2 and FMA.
#define HALFTONE_LEAF leaf_avx2
#define HALFTONE_LEAF_ISA "avx2"
#include "halftone/backend/leaf/table.hpp"
#include "isa.hpp"

namespace halftone::detail {
const CpuKernels& kernels_avx2() { return leaf_avx2::table; }
}  // namespace halftone::detail
