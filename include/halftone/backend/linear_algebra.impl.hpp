// Bodies of linear_algebra.hpp: how work is cut into tiles. The arithmetic is in the leaf kernels.
#pragma once

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/tiles.hpp"

namespace halftone {
namespace detail {

/// Threads that a product is worth: waking another costs about as much as some million flops.
inline int threads_for(const Context<Cpu>& context, double flops) { return flops < 4e6 ? 1 : context.threads(); }

template <class S>
void require_product(const char* who, Transpose a, Transpose b, MatrixView<const S> A, MatrixView<const S> B,
                     MatrixView<S> C) {
  const Index m = a == Transpose::Yes ? A.cols : A.rows, k = a == Transpose::Yes ? A.rows : A.cols;
  const Index inner = b == Transpose::Yes ? B.cols : B.rows, n = b == Transpose::Yes ? B.rows : B.cols;
  require(k == inner && C.rows == m && C.cols == n, Status::ShapeMismatch, who, ": op(A) is ", m, " x ", k,
          " and op(B) ", inner, " x ", n, "; C is ", C.rows, " x ", C.cols, ", wanted ", m, " x ", n,
          " and equal inner sizes");
}

/// C *= beta where there is nothing to multiply; beta = 0 writes zeros over NaN.
template <class S>
void scale(S beta, MatrixView<S> C) {
  for (Index i = 0; i < C.rows; ++i)
    for (Index j = 0; j < C.cols; ++j) C(i, j) = beta == S(0) ? S(0) : beta * C(i, j);
}

/// Computes the tiles of C in parallel. A tile's inner range names the k for which neither factor is known to be zero.
template <class S>
void gemm_tiles(const Context<Cpu>& context, const std::vector<Tile>& tiles, Transpose a, Transpose b, S alpha,
                MatrixView<const S> A, MatrixView<const S> B, S beta, MatrixView<S> C) {
  const bool ta = a == Transpose::Yes, tb = b == Transpose::Yes;
  const auto kernel = context.kernels().template linear<S>().gemm;
  double flops = 0;
  for (const Tile& tile : tiles) flops += tile.flops();
  parallel_for(threads_for(context, flops), static_cast<Index>(tiles.size()), [&](Index t) {
    const Tile& tile = tiles[static_cast<std::size_t>(t)];
    const MatrixView<S> c = C.block(tile.row, tile.col, tile.rows, tile.cols);
    if (tile.last <= tile.first) return scale(beta, c);
    const S* left = ta ? &A(tile.first, tile.row) : &A(tile.row, tile.first);
    const S* right = tb ? &B(tile.col, tile.first) : &B(tile.first, tile.col);
    kernel(ta, tb, tile.rows, tile.cols, tile.last - tile.first, alpha, left, A.stride, right, B.stride, beta, c.data,
           c.stride);
  });
}

}  // namespace detail

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

#include "halftone/backend/inverse_factor.impl.hpp"
