// Binary-coded grids of the CPU backend, compiled once.
#include "halftone/backend/binary_grid.hpp"

#include "halftone/backend/binary_grid.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE(S)                                                                                 \
  template void fit_binary_grid<S>(const Context<Cpu>&, const BinaryCandidates&, MatrixView<const S>, const S*, \
                                   const FittedBinary<S>&);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
