// Bodies of refine.hpp.
#pragma once

#include <algorithm>  // copy_n
#include <atomic>
#include <cmath>  // llround, sqrt
#include <vector>

#include "halftone/backend/quantize.impl.hpp"
#include "halftone/backend/refine.hpp"
#include "halftone/backend/rows.hpp"

namespace halftone {
namespace detail {

template <class S, template <class> class Cells>
RefineBlock<S> refine_block(const char* who, const Cells<S>& cells, const RefinedColumns<S>& given) {
  const Index rows = given.Q.rows, in = given.Q.cols, width = given.width;
  require_shape(who, "H", given.H.rows, given.H.cols, width, width);
  require_shape(who, "G", given.G.rows, given.G.cols, rows, in);
  require_shape(who, "codes", given.codes.rows, given.codes.cols, rows, in);
  require_shape(who, "E", given.E.rows, given.E.cols, rows, width);
  require_cells(who, cells, rows);
  RefineBlock<S> block{};
  block.width = width;
  block.columns = given.columns;
  block.H = given.H.data;
  block.ldh = given.H.stride;
  block.G = given.G.data;
  block.ldg = given.G.stride;
  block.Q = given.Q.data;
  block.ldq = given.Q.stride;
  block.E = given.E.data;
  block.lde = given.E.stride;
  block.codes = given.codes.data;
  block.ldcodes = given.codes.stride;
  block.kept = given.kept;
  block.kept_type = given.kept_type;
  return block;
}

/// The block from row `first` on.
template <class S>
RefineBlock<S> rows_from(RefineBlock<S> block, Index first) {
  block.G += first * block.ldg;
  block.Q += first * block.ldq;
  block.E += first * block.lde;
  block.codes += first * block.ldcodes;
  return block;
}

template <class S>
auto descent_kernel(const RefineKernels<S>& kernels, const UniformCells<S>&) {
  return kernels.descend;
}
template <class S>
auto descent_kernel(const RefineKernels<S>& kernels, const BinaryCells<S>&) {
  return kernels.descend_binary;
}
template <class S>
auto search_kernel(const RefineKernels<S>& kernels, const UniformCells<S>&) {
  return kernels.search;
}
template <class S>
auto search_kernel(const RefineKernels<S>& kernels, const BinaryCells<S>&) {
  return kernels.search_binary;
}

}  // namespace detail

template <class S, template <class> class Cells>
Index descend_columns(const Context<Cpu>& context, const Cells<S>& cells, const RefinedColumns<S>& block) {
  const detail::RefineBlock<S> whole = detail::refine_block("descend_columns", cells, block);
  const Index rows = block.Q.rows, width = block.width;
  if (rows == 0 || width == 0) return 0;
  const int threads = rows * width * width < 200000 ? 1 : context.threads();
  const auto kernel = detail::descent_kernel(context.kernels().template refine<S>(), cells);
  std::atomic<Index> moves{0};  // of integers: the order of the sum changes nothing
  parallel_pieces(threads, rows, detail::rows_per_piece<S>(width), [&](Index first, Index last) {
    Matrix<S> workspace(4 * width, detail::row_lanes<S>);
    moves += kernel(detail::rows_from(whole, first), cells.from_row(first), last - first, workspace.data());
  });
  return moves;
}

template <class S, template <class> class Cells>
Index search_columns(const Context<Cpu>& context, const Cells<S>& cells, const RefinedColumns<S>& given,
                     const SearchEffort& effort) {
  detail::RefineBlock<S> block = detail::refine_block("search_columns", cells, given);
  const Index rows = given.Q.rows, width = given.width;
  if (rows == 0 || width == 0) return 0;
  constexpr Index step = detail::search_padding;
  Matrix<S> H(width, (width + step - 1) / step * step, S(0));
  for (Index i = 0; i < width; ++i) std::copy_n(given.H.row(i), width, H.row(i));
  block.H = H.data();
  block.ldh = H.cols();
  const auto share = [&](double of) { return std::max<Index>(1, std::llround(of * static_cast<double>(width))); };
  const detail::SearchLimits limits{share(effort.steps), share(effort.patience), effort.rest};
  const auto kernel = detail::search_kernel(context.kernels().template refine<S>(), cells);
  std::atomic<Index> changed{0};
  parallel_pieces(context.threads(), rows, 16, [&](Index first, Index last) {
    Matrix<S> workspace(1, 7 * block.ldh + limits.steps);
    changed += kernel(detail::rows_from(block, first), cells.from_row(first), limits, last - first, workspace.data());
  });
  return changed;
}

template <class S>
void gather_rows(const Context<Cpu>& context, MatrixView<const S> A, const std::int32_t* rows, MatrixView<S> out) {
  detail::require_shape("gather_rows", "out", out.rows, out.cols, out.rows, A.cols);
  detail::each_row(context, out.rows, out.cols, [&](Index r) { std::copy_n(A.row(rows[r]), out.cols, out.row(r)); });
}

template <class S>
double residual_product(const Context<Cpu>& context, MatrixView<const S> Q, MatrixView<const S> T,
                        MatrixView<const S> G) {
  constexpr const char* who = "residual_product";
  detail::require_shape(who, "T", T.rows, T.cols, Q.rows, Q.cols);
  detail::require_shape(who, "G", G.rows, G.cols, Q.rows, Q.cols);
  std::vector<double> rows(static_cast<std::size_t>(Q.rows));
  detail::each_row(context, Q.rows, Q.cols, [&](Index r) {
    const S *q = Q.row(r), *t = T.row(r), *g = G.row(r);
    rows[static_cast<std::size_t>(r)] =
        detail::lane_sum(Q.cols, [&](Index j) { return static_cast<double>(q[j] - t[j]) * static_cast<double>(g[j]); });
  });
  double sum = 0;
  for (double value : rows) sum += value;
  return sum;
}

template <class S>
void add_scaled_rows(const Context<Cpu>& context, MatrixView<S> A, const S* factors, MatrixView<const S> B) {
  detail::require_shape("add_scaled_rows", "B", B.rows, B.cols, A.rows, A.cols);
  detail::each_row(context, A.rows, A.cols, [&](Index r) {
    if (factors[r] == S(0)) return;
    for (Index j = 0; j < A.cols; ++j) A(r, j) += factors[r] * B(r, j);
  });
}

template <class S>
void scale_rows(const Context<Cpu>& context, MatrixView<S> A, const S* factors) {
  detail::each_row(context, A.rows, A.cols, [&](Index r) {
    for (Index j = 0; j < A.cols; ++j) A(r, j) *= factors[r];
  });
}

}  // namespace halftone
