// The walks on the CPU, compiled once.
#include "pipeline/tuned_walk.impl.hpp"
#include "pipeline/walk.impl.hpp"

namespace halftone {
template class Walk<Cpu>;
template class TunedWalk<Cpu>;
}  // namespace halftone
