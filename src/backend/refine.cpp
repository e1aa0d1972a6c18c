// Refinement on the CPU backend, compiled once.
#include "halftone/backend/refine.hpp"

#include "halftone/backend/refine.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE_CELLS(S, Cells)                                                         \
  template Index descend_columns<S>(const Context<Cpu>&, const Cells<S>&, const RefinedColumns<S>&); \
  template Index search_columns<S>(const Context<Cpu>&, const Cells<S>&, const RefinedColumns<S>&, const SearchEffort&);
#define HALFTONE_INSTANTIATE(S)                                                                               \
  HALFTONE_INSTANTIATE_CELLS(S, UniformCells)                                                                 \
  HALFTONE_INSTANTIATE_CELLS(S, BinaryCells)                                                                  \
  template void gather_rows<S>(const Context<Cpu>&, MatrixView<const S>, const std::int32_t*, MatrixView<S>); \
  template double residual_product<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>,          \
                                      MatrixView<const S>);                                                   \
  template void add_scaled_rows<S>(const Context<Cpu>&, MatrixView<S>, const S*, MatrixView<const S>);        \
  template void scale_rows<S>(const Context<Cpu>&, MatrixView<S>, const S*);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE
#undef HALFTONE_INSTANTIATE_CELLS

}  // namespace halftone
