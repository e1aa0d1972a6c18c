// The walk on the CPU, compiled once.
#include "pipeline/walk.impl.hpp"

namespace halftone {
template class Walk<Cpu>;
}  // namespace halftone
