// Bodies of quantize.hpp: checks, and rows cut into pieces for threads. The arithmetic is in the leaf kernels.
#pragma once

#include <algorithm>

#include "halftone/backend/diffusion_block.hpp"
#include "halftone/backend/quantize.hpp"
#include "halftone/core/matrix.hpp"

namespace halftone {
namespace detail {

/// Rows of a piece of work on [rows, columns]: about 32 thousand numbers, whole tiles of lanes.
template <class S>
constexpr Index rows_per_piece(Index columns) {
  const Index wanted = columns > 0 ? 32768 / columns : 0;
  return std::max<Index>(1, wanted / row_lanes<S>) * row_lanes<S>;
}

template <class S>
void require_cells(const char* who, const UniformCells<S>& cells, Index rows) {
  require(cells.scales.rows == cells.zeros.rows && cells.scales.cols == rows && cells.zeros.cols == rows,
          Status::ShapeMismatch, who, ": scales are ", cells.scales.rows, " x ", cells.scales.cols, ", zeros ",
          cells.zeros.rows, " x ", cells.zeros.cols, ", wanted groups x ", rows);
}
template <class S>
void require_cells(const char* who, const BinaryCells<S>& cells, Index rows) {
  require(cells.bits >= 2 && cells.bits <= 4, Status::InvalidArgument, who, ": cells have ", cells.bits,
          " bits, wanted 2 .. 4");
  const Index groups = cells.levels.rows >> cells.bits;
  require_shape(who, "levels", cells.levels.rows, cells.levels.cols, groups << cells.bits, rows);
  require_shape(who, "level codes", cells.codes.rows, cells.codes.cols, groups << cells.bits, rows);
  require_shape(who, "thresholds", cells.thresholds.rows, cells.thresholds.cols, (groups << cells.bits) - groups, rows);
}

template <class S>
auto diffusion_kernel(const QuantizeKernels<S>& kernels, const UniformCells<S>&) {
  return kernels.diffuse;
}
template <class S>
auto diffusion_kernel(const QuantizeKernels<S>& kernels, const BinaryCells<S>&) {
  return kernels.diffuse_binary;
}

/// Runs the diffusion kernel on pieces of rows. `block` has the pointers of row 0.
template <class S, template <class> class Cells>
void diffuse_pieces(const Context<Cpu>& context, const DiffusionBlock<S>& block, const Cells<S>& cells, Index rows) {
  const Index width = block.width;
  if (rows == 0 || width == 0) return;
  const int threads = rows * width * width < 200000 ? 1 : context.threads();
  parallel_pieces(threads, rows, rows_per_piece<S>(width), [&](Index first, Index last) {
    Matrix<S> workspace(5 * width, row_lanes<S>);
    DiffusionBlock<S> piece = block;
    piece.W += first * block.ldw;
    piece.codes += first * block.ldcodes;
    if (piece.E) piece.E += first * block.lde;
    if (piece.before) piece.before += first * block.ldbefore;
    if (piece.second) piece.second += first * block.ldsecond;
    diffusion_kernel(context.kernels().template quantize<S>(), cells)(piece, cells.from_row(first), last - first,
                                                                      workspace.data());
  });
}

}  // namespace detail

template <class S>
void fit_uniform_grid(const Context<Cpu>& context, MatrixView<const S> W, const S* importance,
                      const GridOptions& options, S* scales, S* zeros) {
  const int threads = W.size() < 8192 ? 1 : context.threads();
  parallel_pieces(threads, W.rows, detail::rows_per_piece<S>(W.cols), [&](Index first, Index last) {
    context.kernels().template quantize<S>().fit_grid(W.middle_rows(first, last - first), importance, options,
                                                      scales + first, zeros + first);
  });
}

template <class S, template <class> class Cells>
void diffuse_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<const S> U, MatrixView<S> W,
                   MatrixView<S> E, MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second) {
  detail::require_diffusion(U, W, E, codes, second);
  detail::require_cells("diffuse_block", cells, W.rows);
  detail::diffuse_pieces(context, detail::diffusion_block(U, W, E, codes, second), cells, W.rows);
}

template <class S, template <class> class Cells>
void round_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<S> W, MatrixView<std::uint8_t> codes) {
  constexpr const char* who = "round_block";
  detail::require_shape(who, "codes", codes.rows, codes.cols, W.rows, W.cols);
  detail::require_cells(who, cells, W.rows);
  detail::diffuse_pieces(context, detail::rounding_block(W, codes), cells, W.rows);
}

}  // namespace halftone
