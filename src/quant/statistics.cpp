// The statistics, compiled once.
#include "halftone/quant/statistics.hpp"

namespace halftone {
template class InputStatistics<float, Cpu>;
template class InputStatistics<double, Cpu>;
}  // namespace halftone
