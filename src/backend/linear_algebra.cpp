// The linear algebra of the CPU backend, compiled once.
#include "halftone/backend/linear_algebra.hpp"

#include "halftone/backend/linear_algebra.impl.hpp"

namespace halftone {

#define HALFTONE_INSTANTIATE(S)                                                                                       \
  template void gemm<S>(const Context<Cpu>&, Transpose, Transpose, S, MatrixView<const S>, MatrixView<const S>, S,    \
                        MatrixView<S>);                                                                               \
  template void gemm_upper<S>(const Context<Cpu>&, Transpose, Transpose, S, MatrixView<const S>, MatrixView<const S>, \
                              S, MatrixView<S>);                                                                      \
  template void mirror_upper<S>(const Context<Cpu>&, MatrixView<S>);                                                  \
  template Index inverse_factor<S>(const Context<Cpu>&, MatrixView<S>, Index);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

template void narrow<BFloat16>(const Context<Cpu>&, MatrixView<const float>, MatrixView<BFloat16>);
template void negate<BFloat16>(const Context<Cpu>&, MatrixView<BFloat16>);
#define HALFTONE_INSTANTIATE(T)                                                                                    \
  template void gemm<T>(const Context<Cpu>&, Transpose, Transpose, MatrixView<const T>, MatrixView<const T>, bool, \
                        MatrixView<float>);                                                                        \
  template void add_squares<T>(const Context<Cpu>&, MatrixView<const T>, MatrixView<float>);
HALFTONE_INSTANTIATE(BFloat16)
HALFTONE_INSTANTIATE(Float16)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
