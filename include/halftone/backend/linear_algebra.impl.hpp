// Bodies of linear_algebra.hpp: how work is cut into tiles. The arithmetic is in the leaf kernels.
#pragma once

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/rows.hpp"
#include "halftone/backend/tiles.hpp"

namespace halftone {
namespace detail {

/// Threads that a product is worth: waking another costs about as much as some million flops.
inline int threads_for(const Context<Cpu>& context, double flops) { return flops < 4e6 ? 1 : context.threads(); }

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

namespace detail {

/// A tile of a product of 16-bit factors without units for it: both are widened a part of the inner dimension at a
/// time.
template <class T>
void multiply_widened(const CpuKernels& kernels, const Tile& tile, bool ta, bool tb, MatrixView<const T> A,
                      MatrixView<const T> B, bool add, MatrixView<float> C) {
  constexpr Index depth = 256;
  Matrix<float> left(ta ? depth : tile.rows, ta ? tile.rows : depth);
  Matrix<float> right(tb ? tile.cols : depth, tb ? depth : tile.cols);
  const auto widen = [&](MatrixView<const T> source, Matrix<float>& target) {
    for (Index i = 0; i < source.rows; ++i) kernels.half.widen(source.cols, source.row(i), target.row(i));
  };
  for (Index first = tile.first; first < tile.last; first += depth) {
    const Index k = std::min(depth, tile.last - first);
    widen(ta ? A.block(first, tile.row, k, tile.rows) : A.block(tile.row, first, tile.rows, k), left);
    widen(tb ? B.block(tile.col, first, tile.cols, k) : B.block(first, tile.col, k, tile.cols), right);
    kernels.linear_f32.gemm(ta, tb, tile.rows, tile.cols, k, 1, left.data(), left.cols(), right.data(), right.cols(),
                            add ? 1.0f : 0.0f, C.data, C.stride);
    add = true;
  }
}

/// gemm_tiles of 16-bit factors.
template <class T>
void half_tiles(const Context<Cpu>& context, const std::vector<Tile>& tiles, Transpose a, Transpose b,
                MatrixView<const T> A, MatrixView<const T> B, bool add, MatrixView<float> C) {
  const bool ta = a == Transpose::Yes, tb = b == Transpose::Yes;
  const CpuKernels& kernels = context.kernels();
  double flops = 0;
  for (const Tile& tile : tiles) flops += tile.flops();
  parallel_for(threads_for(context, flops), static_cast<Index>(tiles.size()), [&](Index t) {
    const Tile& tile = tiles[static_cast<std::size_t>(t)];
    const MatrixView<float> c = C.block(tile.row, tile.col, tile.rows, tile.cols);
    if (tile.last <= tile.first) return scale(add ? 1.0f : 0.0f, c);
    if constexpr (std::is_same_v<T, BFloat16>) {
      if (kernels.half.gemm != nullptr) {
        const T* left = ta ? &A(tile.first, tile.row) : &A(tile.row, tile.first);
        const T* right = tb ? &B(tile.col, tile.first) : &B(tile.first, tile.col);
        return kernels.half.gemm(ta, tb, tile.rows, tile.cols, tile.last - tile.first, left, A.stride, right, B.stride,
                                 add, c.data, c.stride);
      }
    }
    multiply_widened(kernels, tile, ta, tb, A, B, add, c);
  });
}

}  // namespace detail

template <class T>
void narrow(const Context<Cpu>& context, MatrixView<const float> x, MatrixView<T> y) {
  require(x.rows == y.rows && x.cols == y.cols, Status::ShapeMismatch, "narrow: got ", x.rows, " x ", x.cols, " and ",
          y.rows, " x ", y.cols, ", wanted equal shapes");
  detail::each_row(context, x.rows, x.cols,
                   [&](Index i) { context.kernels().half.narrow(x.cols, x.row(i), y.row(i)); });
}

template <class T>
void negate(const Context<Cpu>& context, MatrixView<T> x) {
  detail::each_row(context, x.rows, x.cols, [&](Index i) {
    for (Index j = 0; j < x.cols; ++j) x(i, j) = -x(i, j);
  });
}

template <class T>
requires(sizeof(T) == 2) void gemm(const Context<Cpu>& context, Transpose a, Transpose b, MatrixView<const T> A,
                                   MatrixView<const T> B, bool add, MatrixView<float> C) {
  detail::require_product("gemm", a, b, A, B, C);
  detail::half_tiles(context, detail::cut_all(C.rows, C.cols, a == Transpose::Yes ? A.rows : A.cols), a, b, A, B, add,
                     C);
}

template <class T>
void add_squares(const Context<Cpu>& context, MatrixView<const T> X, MatrixView<float> C) {
  detail::require_product("add_squares", Transpose::Yes, Transpose::No, X, X, C);
  detail::half_tiles(context, detail::cut_upper(C.rows, X.rows), Transpose::Yes, Transpose::No, X, X, true, C);
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
