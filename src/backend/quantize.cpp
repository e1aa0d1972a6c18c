// Grids and error diffusion of the CPU backend, compiled once.
#include "halftone/backend/quantize.hpp"

#include "halftone/backend/quantize.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE_CELLS(S, Cells)                                                               \
  template void diffuse_block<S>(const Context<Cpu>&, const Cells<S>&, MatrixView<const S>, MatrixView<S>, \
                                 MatrixView<S>, MatrixView<std::uint8_t>, const SecondUpdate<S>&);         \
  template void round_block<S>(const Context<Cpu>&, const Cells<S>&, MatrixView<S>, MatrixView<std::uint8_t>);
#define HALFTONE_INSTANTIATE(S)                                                                                      \
  template void fit_uniform_grid<S>(const Context<Cpu>&, MatrixView<const S>, const S*, const GridOptions&, S*, S*); \
  HALFTONE_INSTANTIATE_CELLS(S, UniformCells)                                                                        \
  HALFTONE_INSTANTIATE_CELLS(S, BinaryCells)
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE
#undef HALFTONE_INSTANTIATE_CELLS

}  // namespace halftone
