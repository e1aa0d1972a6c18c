// The leaf kernels for AVX-512 F, BW, DQ and VL.
#define HALFTONE_LEAF leaf_avx512
#define HALFTONE_LEAF_ISA "avx512"
#include "halftone/backend/leaf/table.hpp"
#include "isa.hpp"

namespace halftone::detail {
const CpuKernels& kernels_avx512() { return leaf_avx512::table; }
}  // namespace halftone::detail
