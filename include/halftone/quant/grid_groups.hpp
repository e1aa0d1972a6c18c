// What the grids of a whole matrix have in common, uniform or binary-coded.
#pragma once

#include <algorithm>  // min

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/quantize.hpp"

namespace halftone::detail {

/// Calls fit(group, row, W of its columns and rows, importance of its columns) for every group of W [rows, in], groups
/// of consecutive columns, and chunks of rows, in parallel. importance [in] or null.
template <class S, class Fit>
void fit_groups(const Context<Cpu>& context, const GridOptions& options, MatrixView<const S> W, const S* importance,
                Fit&& fit) {
  constexpr Index chunk = 64;
  const Index width = options.group_columns(W.cols), chunks = (W.rows + chunk - 1) / chunk;
  parallel_for(context.threads(), options.groups(W.cols) * chunks, [&](Index unit) {
    const Index group = unit / chunks, column = group * width, row = unit % chunks * chunk;
    const Index rows = std::min(chunk, W.rows - row), columns = std::min(width, W.cols - column);
    fit(group, row, W.block(row, column, rows, columns), importance == nullptr ? nullptr : importance + column);
  });
}

}  // namespace halftone::detail

namespace halftone {

/// Codes [rows, columns] of the value 0, or of the nearest that the cells have: what kept columns are given.
template <class S, class Backend, template <class> class Cells>
void write_zero_codes(const Context<Backend>& context, const Cells<S>& cells, MatrixView<std::uint8_t> codes) {
  if (codes.empty()) return;
  auto kept = context.template allocate<S>(codes.rows, codes.cols);
  set_zero(context, kept.view());
  round_block(context, cells, kept.view(), codes);
}

}  // namespace halftone
