// Bodies of linear_algebra.hpp. How products run is in products.impl.hpp, the arithmetic in the leaf kernels.
#pragma once

#include "halftone/backend/inverse_factor.impl.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/products.impl.hpp"

namespace halftone {

template <class S>
void gemm(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A, MatrixView<const S> B,
          S beta, MatrixView<S> C) {
  detail::require_product("gemm", a, b, A, B, C);
  const auto tiles = detail::cut_all(C.rows, C.cols, a == Transpose::Yes ? A.rows : A.cols);
  detail::gemm_tiles(context, tiles, a, b, alpha, A, B, beta, C);
}

template <class S>
void gemm_upper(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A,
                MatrixView<const S> B, S beta, MatrixView<S> C) {
  detail::require_product("gemm_upper", a, b, A, B, C);
  require(C.rows == C.cols, Status::ShapeMismatch, "gemm_upper: C is ", C.rows, " x ", C.cols, ", wanted square");
  const auto tiles = detail::cut_upper(C.rows, a == Transpose::Yes ? A.rows : A.cols);
  detail::gemm_tiles(context, tiles, a, b, alpha, A, B, beta, C);
}

template <class S>
void mirror_upper(const Context<Cpu>& context, MatrixView<S> A) {
  require(A.rows == A.cols, Status::ShapeMismatch, "mirror_upper: A is ", A.rows, " x ", A.cols, ", wanted square");
  constexpr Index side = 64;  // two tiles fit in the first-level cache
  const int threads = A.rows < 256 ? 1 : context.threads();
  parallel_pieces(threads, A.rows, side, [&](Index first, Index last) {
    for (Index j0 = 0; j0 <= first; j0 += side)
      for (Index i = first; i < last; ++i)
        for (Index j = j0; j < std::min(i, j0 + side); ++j) A(i, j) = A(j, i);
  });
}

}  // namespace halftone
