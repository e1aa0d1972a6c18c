// How a matrix product runs: factors are packed once a slab of k, then tiles of the output are computed, all in
// parallel.
#pragma once

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/tiles.hpp"
#include "halftone/core/matrix.hpp"

namespace halftone::detail {

/// Threads that some work is worth: waking another costs about as much as a few million flops.
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

/// The factors of a product, packed slab by slab. Work space: 4 · (m + n) · depth bytes for float.
template <class S>
class PackedFactors {
 public:
  /// Most steps of k that are packed at a time, a multiple of the kernels' depth.
  static constexpr Index most = 768;

  PackedFactors(const Context<Cpu>& context, int threads, Transpose a, Transpose b, MatrixView<const S> A,
                MatrixView<const S> B)
      : kernels_(context.kernels().template linear<S>()),
        threads_(threads),
        a_(a == Transpose::Yes),
        b_(b == Transpose::Yes),
        A_(A),
        B_(B),
        rows_(a_ ? A.cols : A.rows),
        cols_(b_ ? B.rows : B.cols),
        depth_(std::min(most, a_ ? A.rows : A.cols)),
        left_(up(rows_, kernels_.left_panel), depth_),
        right_(up(cols_, kernels_.right_panel), depth_) {}

  Index depth() const { return depth_; }

  /// Packs the steps [first, first + depth).
  void pack(Index first, Index depth) {
    constexpr Index grain = 4 * tile_step;
    first_ = first;
    packed_ = depth;
    const Index left_pieces = (rows_ + grain - 1) / grain, right_pieces = (cols_ + grain - 1) / grain;
    parallel_for(threads_, left_pieces + right_pieces, [&](Index piece) {
      if (piece < left_pieces) {
        const Index row = piece * grain;
        kernels_.pack_left(a_, std::min(grain, rows_ - row), depth, a_ ? &A_(first, row) : &A_(row, first), A_.stride,
                           left_.data() + row * depth);
      } else {
        const Index col = (piece - left_pieces) * grain;
        kernels_.pack_right(b_, std::min(grain, cols_ - col), depth, b_ ? &B_(col, first) : &B_(first, col), B_.stride,
                            right_.data() + col * depth);
      }
    });
  }

  /// Adds what the packed steps contribute to a tile of C; `beta` counts where they are its first.
  void multiply(const Tile& tile, S alpha, S beta, MatrixView<S> C) const {
    const Index from = std::max(tile.first, first_), to = std::min(tile.last, first_ + packed_);
    if (from >= to) return;
    kernels_.multiply(tile.rows, tile.cols, to - from, packed_,
                      left_.data() + tile.row * packed_ + (from - first_) * kernels_.left_panel,
                      right_.data() + tile.col * packed_ + (from - first_) * kernels_.right_panel, alpha,
                      from == tile.first ? beta : S(1), &C(tile.row, tile.col), C.stride);
  }

 private:
  static Index up(Index size, Index step) { return (size + step - 1) / step * step; }

  const LinearKernels<S>& kernels_;
  int threads_;
  bool a_, b_;
  MatrixView<const S> A_, B_;
  Index rows_, cols_, depth_, first_ = 0, packed_ = 0;
  Matrix<S> left_, right_;
};

/// C = alpha · op(A) · op(B) + beta · C on the given tiles. A tile's inner range names the steps of k for which neither
/// factor is known to be zero.
template <class S>
void gemm_tiles(const Context<Cpu>& context, const std::vector<Tile>& tiles, Transpose a, Transpose b, S alpha,
                MatrixView<const S> A, MatrixView<const S> B, S beta, MatrixView<S> C) {
  const Index k = a == Transpose::Yes ? A.rows : A.cols;
  double flops = 0;
  for (const Tile& tile : tiles) {
    flops += tile.flops();
    if (tile.last <= tile.first) scale(beta, C.block(tile.row, tile.col, tile.rows, tile.cols));
  }
  if (flops == 0) return;
  const int threads = threads_for(context, flops);
  PackedFactors<S> factors(context, threads, a, b, A, B);
  for (Index first = 0; first < k; first += factors.depth()) {
    factors.pack(first, std::min(factors.depth(), k - first));
    parallel_for(threads, static_cast<Index>(tiles.size()),
                 [&](Index t) { factors.multiply(tiles[static_cast<std::size_t>(t)], alpha, beta, C); });
  }
}

}  // namespace halftone::detail
