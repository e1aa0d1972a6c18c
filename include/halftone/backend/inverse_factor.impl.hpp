// Body of inverse_factor: recursive, so that nearly all of its flops are large matrix products. Blocks that lie
// strictly below the diagonal of A serve as work space on the way.
#pragma once

#include <atomic>

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/tiles.hpp"

namespace halftone {
namespace detail {

/// Largest diagonal block that is factored and inverted on one thread.
inline constexpr Index factor_block = 128;

/// Where [n, n] is split: a multiple of the block, about the half.
inline Index split_at(Index n) { return (n / 2 + factor_block - 1) / factor_block * factor_block; }

/// W := W R⁻ᵀ for upper R, rows in parallel. Recursive: R = [R11 R12; 0 R22] gives W2 := W2 R22⁻ᵀ, then
/// W1 := (W1 − W2 R12ᵀ) R11⁻ᵀ.
template <class S>
void solve_transposed(const Context<Cpu>& context, MatrixView<const S> R, MatrixView<S> W) {
  const Index n = R.rows;
  if (n <= factor_block) {
    const Index grain = 2 * row_lanes<S>;
    parallel_pieces(context.threads(), W.rows, grain, [&](Index first, Index last) {
      Matrix<S> tile(n, row_lanes<S>);
      context.kernels().template linear<S>().solve_rows(true, n, R.data, R.stride, last - first, W.row(first), W.stride,
                                                        tile.data());
    });
    return;
  }
  const Index half = split_at(n), rest = n - half;
  const MatrixView<S> W1 = W.middle_cols(0, half), W2 = W.middle_cols(half, rest);
  solve_transposed<S>(context, R.block(half, half, rest, rest), W2);
  gemm<S>(context, Transpose::No, Transpose::Yes, S(-1), W2, R.block(0, half, half, rest), S(1), W1);
  solve_transposed<S>(context, R.block(0, 0, half, half), W1);
}

/// Upper triangle of A := R with A = R Rᵀ. Returns −1 or the pivot that failed.
/// A = [A11 A12; · A22]: R22 from A22, R12 = A12 R22⁻ᵀ, R11 from A11 − R12 R12ᵀ.
template <class S>
Index reversed_cholesky(const Context<Cpu>& context, MatrixView<S> A) {
  const Index n = A.rows;
  if (n <= factor_block) {
    S column[factor_block];
    return context.kernels().template linear<S>().factor(n, A.data, A.stride, column);
  }
  const Index half = split_at(n), rest = n - half;
  const MatrixView<S> A11 = A.block(0, 0, half, half), A12 = A.block(0, half, half, rest),
                      A22 = A.block(half, half, rest, rest);
  const Index failed = reversed_cholesky(context, A22);
  if (failed >= 0) return half + failed;
  solve_transposed<S>(context, A22, A12);
  gemm_upper<S>(context, Transpose::No, Transpose::Yes, S(-1), A12, A12, S(1), A11);
  return reversed_cholesky(context, A11);
}

/// Diagonal blocks of R := their inverses, with zeros below their diagonals.
template <class S>
void invert_diagonal_blocks(const Context<Cpu>& context, MatrixView<S> R) {
  const auto blocks = [](Index n) { return (n + factor_block - 1) / factor_block; };
  parallel_for(context.threads(), blocks(R.rows), [&](Index b) {
    const Index first = b * factor_block, n = std::min(factor_block, R.rows - first);
    Matrix<S> inverse(n, n, S(0)), tile(n, row_lanes<S>);
    for (Index i = 0; i < n; ++i) inverse(i, i) = S(1);
    context.kernels().template linear<S>().solve_rows(false, n, &R(first, first), R.stride, n, inverse.data(), n,
                                                      tile.data());
    for (Index i = 0; i < n; ++i) std::copy_n(inverse.row(i), n, &R(first + i, first));
  });
}

/// Tiles of C [m, n] = T · B where T [m, m] is triangular, upper or lower: they leave out the part of the inner
/// dimension that meets only zeros.
inline std::vector<Tile> cut_triangular(Index m, Index n, bool upper) {
  constexpr Index side = 256;
  const TileSides sides = tile_sides(m, n);
  std::vector<Tile> tiles;
  cut({0, 0, m, n, 0, m}, {std::min(sides.rows, side), std::min(sides.cols, side)}, tiles);
  for (Tile& tile : tiles) {
    if (upper)
      tile.first = tile.row;
    else
      tile.last = tile.row + tile.rows;
  }
  sort_by_work(tiles);
  return tiles;
}

/// Upper R with inverted diagonal blocks := R⁻¹ above the diagonal blocks:
/// [R11 R12; 0 R22]⁻¹ = [U11, −U11 R12 U22; 0, U22]. The block below the diagonal holds (R12 U22)ᵀ in between.
template <class S>
void invert_upper(const Context<Cpu>& context, MatrixView<S> R) {
  const Index n = R.rows;
  if (n <= factor_block) return;
  const Index half = split_at(n), rest = n - half;
  const MatrixView<S> U11 = R.block(0, 0, half, half), R12 = R.block(0, half, half, rest),
                      U22 = R.block(half, half, rest, rest), scratch = R.block(half, 0, rest, half);
  invert_upper(context, U11);
  invert_upper(context, U22);
  gemm_tiles<S>(context, cut_triangular(rest, half, false), Transpose::Yes, Transpose::Yes, S(1), U22, R12, S(0),
                scratch);
  gemm_tiles<S>(context, cut_triangular(half, rest, true), Transpose::No, Transpose::Yes, S(-1), U11, scratch, S(0),
                R12);
  for (Index i = 0; i < rest; ++i) std::fill_n(scratch.row(i), half, S(0));
}

}  // namespace detail

template <class S>
Index inverse_factor(const Context<Cpu>& context, MatrixView<S> A, Index panel) {
  detail::require_panels(A.rows, A.cols, panel);
  const Index failed = detail::reversed_cholesky(context, A);
  if (failed >= 0) return failed;
  panel = std::min(panel, A.rows);
  for (Index first = 0; first < A.rows; first += panel) {
    const Index width = std::min(panel, A.rows - first);
    const MatrixView<S> R = A.block(first, first, width, width);
    detail::invert_diagonal_blocks(context, R);
    detail::invert_upper(context, R);
  }
  parallel_pieces(context.threads(), A.rows, 64, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) std::fill_n(A.row(i), i / panel * panel, S(0));
  });
  return -1;
}

}  // namespace halftone
