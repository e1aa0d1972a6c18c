// Refinement on the CPU backend, compiled once.
#include "halftone/backend/refine.hpp"

#include "halftone/backend/refine.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE(S)                                                                                      \
  template Index descend_columns<S>(const Context<Cpu>&, const UniformCells<S>&, const RefinedColumns<S>&);          \
  template void gather_rows<S>(const Context<Cpu>&, MatrixView<const S>, const std::int32_t*, MatrixView<S>);        \
  template double residual_product<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>,                 \
                                      MatrixView<const S>);                                                          \
  template void centred_codes<S>(const Context<Cpu>&, MatrixView<const std::uint8_t>, const std::int32_t*, const S*, \
                                 MatrixView<S>);                                                                     \
  template Index refit_scales<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>, MatrixView<const S>, \
                                 const std::int32_t*, ScaleType, S*, S*, MatrixView<S>);                             \
  template void add_scaled_rows<S>(const Context<Cpu>&, MatrixView<S>, const S*, MatrixView<const S>);               \
  template void scale_rows<S>(const Context<Cpu>&, MatrixView<S>, const S*);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
