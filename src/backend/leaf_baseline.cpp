// The leaf kernels for the instruction set that every processor of this architecture has.
#define HALFTONE_LEAF leaf_baseline
#if defined(__aarch64__)
#define HALFTONE_LEAF_ISA "neon"
#else
#define HALFTONE_LEAF_ISA "baseline"
#endif
#include "halftone/backend/leaf/table.hpp"
#include "isa.hpp"

namespace halftone::detail {
const CpuKernels& kernels_baseline() { return leaf_baseline::table; }
}  // namespace halftone::detail
