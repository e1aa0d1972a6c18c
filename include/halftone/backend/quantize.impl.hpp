// Bodies of quantize.hpp: checks, and rows cut into pieces for threads. The arithmetic is in the leaf kernels.
#pragma once

#include <algorithm>

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
void require_shape(const char* who, const char* what, Index rows, Index cols, Index wanted_rows, Index wanted_cols) {
  require(rows == wanted_rows && cols == wanted_cols, Status::ShapeMismatch, who, ": ", what, " is ", rows, " x ", cols,
          ", wanted ", wanted_rows, " x ", wanted_cols);
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
  require_shape<S>(who, "levels", cells.levels.rows, cells.levels.cols, groups << cells.bits, rows);
  require_shape<S>(who, "level codes", cells.codes.rows, cells.codes.cols, groups << cells.bits, rows);
  require_shape<S>(who, "thresholds", cells.thresholds.rows, cells.thresholds.cols, (groups << cells.bits) - groups,
                   rows);
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

/// What diffuse_block and round_block have in common.
template <class S, template <class> class Cells>
DiffusionBlock<S> rounding_block(const char* who, const Cells<S>& cells, MatrixView<S> W,
                                 MatrixView<std::uint8_t> codes) {
  require_shape<S>(who, "codes", codes.rows, codes.cols, W.rows, W.cols);
  require_cells(who, cells, W.rows);
  DiffusionBlock<S> block{};
  block.width = W.cols;
  block.W = W.data;
  block.ldw = W.stride;
  block.codes = codes.data;
  block.ldcodes = codes.stride;
  return block;
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
  constexpr const char* who = "diffuse_block";
  detail::DiffusionBlock<S> block = detail::rounding_block(who, cells, W, codes);
  detail::require_shape<S>(who, "U", U.rows, U.cols, W.cols, W.cols);
  detail::require_shape<S>(who, "E", E.rows, E.cols, W.rows, W.cols);
  block.U = U.data;
  block.ldu = U.stride;
  block.E = E.data;
  block.lde = E.stride;
  if (!second.T.empty()) {
    detail::require_shape<S>(who, "T", second.T.rows, second.T.cols, W.cols, W.cols);
    detail::require_shape<S>(who, "second", second.second.rows, second.second.cols, W.rows, W.cols);
    detail::require_shape<S>(who, "before", second.before.rows, second.before.cols, W.rows, W.cols);
    block.T = second.T.data;
    block.ldt = second.T.stride;
    block.strength = second.strength;
    block.second = second.second.data;
    block.ldsecond = second.second.stride;
    block.before = second.before.data;
    block.ldbefore = second.before.stride;
  }
  detail::diffuse_pieces(context, block, cells, W.rows);
}

template <class S, template <class> class Cells>
void round_block(const Context<Cpu>& context, const Cells<S>& cells, MatrixView<S> W, MatrixView<std::uint8_t> codes) {
  detail::diffuse_pieces(context, detail::rounding_block("round_block", cells, W, codes), cells, W.rows);
}

}  // namespace halftone
