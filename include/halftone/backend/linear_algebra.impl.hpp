// Bodies of linear_algebra.hpp: how work is cut into tiles. The arithmetic is in the leaf kernels.
#pragma once

#include <algorithm>
#include <vector>

#include "halftone/backend/linear_algebra.hpp"

namespace halftone {
namespace detail {

/// Rectangle of an output, work for one thread.
struct Tile {
  Index row, col, rows, cols;
};

/// Sides of the tiles of an [m, n] output: at most 512, halved down to 64 while there are fewer than 8 tiles.
struct TileSides {
  Index rows, cols;
};
constexpr TileSides tile_sides(Index m, Index n) {
  constexpr Index largest = 512, smallest = 64, wanted = 8;
  const auto pieces = [](Index size, Index side) { return (size + side - 1) / side; };
  const auto even = [&](Index size, Index side) {  // the same number of pieces, of nearly equal size
    const Index parts = pieces(size, side);
    return parts == 0 ? side : (pieces(size, parts) + 31) / 32 * 32;
  };
  TileSides sides{even(m, largest), even(n, largest)};
  while (pieces(m, sides.rows) * pieces(n, sides.cols) < wanted && std::max(sides.rows, sides.cols) > smallest) {
    Index& longer = sides.rows >= sides.cols ? sides.rows : sides.cols;
    longer = std::max(smallest, (longer / 2 + 31) / 32 * 32);
  }
  return sides;
}

/// Cuts a rectangle into tiles.
inline void cut(const Tile& whole, std::vector<Tile>& tiles, TileSides sides) {
  for (Index i = 0; i < whole.rows; i += sides.rows)
    for (Index j = 0; j < whole.cols; j += sides.cols)
      tiles.push_back(
          {whole.row + i, whole.col + j, std::min(sides.rows, whole.rows - i), std::min(sides.cols, whole.cols - j)});
}

/// Cuts the upper triangle of an [n, n] output whose corner is (first, first): halves, quarters, ... down to diagonal
/// tiles of at most 128, so that little below the diagonal is computed.
inline void cut_upper(Index first, Index n, TileSides sides, std::vector<Tile>& tiles) {
  constexpr Index diagonal = 128;
  if (n <= diagonal) {
    if (n > 0) tiles.push_back({first, first, n, n});
    return;
  }
  const Index half = std::min(n, ((n + 1) / 2 + 31) / 32 * 32);
  cut({first, first + half, half, n - half}, tiles, sides);
  cut_upper(first, half, sides, tiles);
  cut_upper(first + half, n - half, sides, tiles);
}

/// Threads that a product is worth: waking another costs about as much as two million flops.
inline int threads_for(const Context<Cpu>& context, Index m, Index n, Index k) {
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  return flops < 4e6 ? 1 : context.threads();
}

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

/// Computes the tiles of C in parallel.
template <class S>
void gemm_tiles(const Context<Cpu>& context, const std::vector<Tile>& tiles, Transpose a, Transpose b, S alpha,
                MatrixView<const S> A, MatrixView<const S> B, S beta, MatrixView<S> C) {
  const bool ta = a == Transpose::Yes, tb = b == Transpose::Yes;
  const Index k = ta ? A.rows : A.cols;
  if (k == 0) return scale(beta, C);
  const auto kernel = context.kernels().template linear<S>().gemm;
  parallel_for(threads_for(context, C.rows, C.cols, k), static_cast<Index>(tiles.size()), [&](Index t) {
    const Tile& tile = tiles[static_cast<std::size_t>(t)];
    const S* left = ta ? A.data + tile.row : A.row(tile.row);
    const S* right = tb ? B.row(tile.col) : B.data + tile.col;
    kernel(ta, tb, tile.rows, tile.cols, k, alpha, left, A.stride, right, B.stride, beta, C.row(tile.row) + tile.col,
           C.stride);
  });
}

}  // namespace detail

template <class S>
void gemm(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A, MatrixView<const S> B,
          S beta, MatrixView<S> C) {
  detail::require_product("gemm", a, b, A, B, C);
  std::vector<detail::Tile> tiles;
  detail::cut({0, 0, C.rows, C.cols}, tiles, detail::tile_sides(C.rows, C.cols));
  detail::gemm_tiles(context, tiles, a, b, alpha, A, B, beta, C);
}

template <class S>
void gemm_upper(const Context<Cpu>& context, Transpose a, Transpose b, S alpha, MatrixView<const S> A,
                MatrixView<const S> B, S beta, MatrixView<S> C) {
  detail::require_product("gemm_upper", a, b, A, B, C);
  require(C.rows == C.cols, Status::ShapeMismatch, "gemm_upper: C is ", C.rows, " x ", C.cols, ", wanted square");
  std::vector<detail::Tile> tiles;
  detail::cut_upper(0, C.rows, detail::tile_sides(C.rows, C.cols), tiles);
  const auto area = [](const detail::Tile& tile) { return tile.rows * tile.cols; };
  std::stable_sort(tiles.begin(), tiles.end(), [&](const auto& x, const auto& y) { return area(x) > area(y); });
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
