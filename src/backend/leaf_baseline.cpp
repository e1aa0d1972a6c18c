// The leaf kernels for the instruction set that every processor of this architecture has.
#define HALFTONE_LEAF leaf_baseline
#define HALFTONE_LEAF_ISA "baseline"
#include "halftone/backend/leaf/table.hpp"
#include "isa.hpp"

namespace halftone::detail {
const CpuKernels& kernels_baseline() { return leaf_baseline::table; }
}  // namespace halftone::detail
