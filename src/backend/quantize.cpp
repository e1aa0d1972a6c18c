// Grids and error diffusion of the CPU backend, compiled once.
#include "halftone/backend/quantize.hpp"

#include "halftone/backend/quantize.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE(S)                                                                                      \
  template void fit_uniform_grid<S>(const Context<Cpu>&, MatrixView<const S>, const S*, const GridOptions&, S*, S*); \
  template void diffuse_block<S>(const Context<Cpu>&, const UniformCells<S>&, MatrixView<const S>, MatrixView<S>,    \
                                 MatrixView<S>, MatrixView<std::uint8_t>, const SecondUpdate<S>&);                   \
  template void round_block<S>(const Context<Cpu>&, const UniformCells<S>&, MatrixView<S>, MatrixView<std::uint8_t>);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
