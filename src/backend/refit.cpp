// Refitting on the CPU backend, compiled once.
#include "halftone/backend/refit.hpp"

#include "halftone/backend/refit.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE(S)                                                                                      \
  template void centred_codes<S>(const Context<Cpu>&, MatrixView<const std::uint8_t>, const std::int32_t*, const S*, \
                                 MatrixView<S>);                                                                     \
  template Index refit_scales<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>, MatrixView<const S>, \
                                 const std::int32_t*, ScaleType, S*, S*, MatrixView<S>);                             \
  template void sign_planes<S>(const Context<Cpu>&, MatrixView<const std::uint8_t>, const std::int32_t*, int,        \
                               MatrixView<S>);                                                                       \
  template Index refit_planes<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>, const S*,            \
                                 MatrixView<const S>, const RefittedBinary<S>&, MatrixView<S>, MatrixView<S>);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
