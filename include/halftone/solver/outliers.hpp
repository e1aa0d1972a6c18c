// Outlier columns: a few sensitive columns stay in 16 bit (OWQ, arXiv 2306.02272: weak columns). They come last in the
// column loop, take every correction and are not rounded, so that they end at the least-squares optimum given the rest.
#pragma once

#include <algorithm>  // min
#include <cmath>      // nearbyint
#include <utility>    // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/solver/column_order.hpp"

namespace halftone {

struct OutlierOptions {
  double outlier_columns = 0;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(real("outlier_columns", self.outlier_columns, 0, 1 << 30,
               "columns kept in 16 bit: a number, or a share of the columns if below 1"));
  }

  /// Columns kept of a matrix with `cols` columns.
  Index count(Index cols) const {
    const double wanted = outlier_columns < 1 ? outlier_columns * static_cast<double>(cols) : outlier_columns;
    return std::min(cols, static_cast<Index>(std::nearbyint(wanted)));
  }
};

/// What rounding column j alone costs: H_jj · Σ_r (W_rj − RTN(W)_rj)² (OWQ, section 3.2). RTN: plain rounding of W
/// [out, in] on the given grid, fitted on all columns, OWQ's search with the 40 steps of its code; diagonal [in] of H,
/// undamped, by original column, `importance` the same in the backend's memory. By bands of rows that fit in a cache.
template <class S, class Backend>
std::vector<double> column_sensitivities(const Context<Backend>& context, GridOptions grid, MatrixView<const S> W,
                                         const std::vector<double>& diagonal, const S* importance) {
  constexpr Index band = 256;
  grid.search_steps = 40;
  const std::vector<std::int32_t> groups = groups_of_columns(W.cols, grid.group_columns(W.cols));
  auto values = context.template allocate<S>(std::min(band, W.rows), W.cols);
  auto codes = context.template allocate<std::uint8_t>(values.rows(), W.cols);
  std::vector<double> sensitivities(diagonal.size(), 0.0);
  for (Index first = 0; first < W.rows; first += band) {
    const Index rows = std::min(band, W.rows - first);
    const MatrixView<const S> weights = W.middle_rows(first, rows);
    const MatrixView<S> rounded = values.view().middle_rows(0, rows);
    UniformGrids<S, Backend> grids(context, grid, rows, grid.groups(W.cols));
    grids.fit_all(context, weights, importance);
    convert(context, weights, rounded);
    round_block(context, grids.cells(groups.data()), rounded, codes.view().middle_rows(0, rows));
    add_scaled(context, rounded, S(-1), weights);
    const std::vector<double> squares = column_squares(context, MatrixView<const S>(rounded));
    for (std::size_t j = 0; j < squares.size(); ++j) sensitivities[j] += squares[j] * diagonal[j];
  }
  return sensitivities;
}

/// Solving order with `kept` columns last: the others in the order of `order`, the kept by descending sensitivity.
inline std::vector<std::int32_t> order_with_outliers(const std::vector<std::int32_t>& order,
                                                     const std::vector<double>& sensitivities, Index kept) {
  const std::vector<std::int32_t> ranked = descending_order(sensitivities);
  std::vector<std::uint8_t> is_kept(order.size(), 0);
  for (Index i = 0; i < kept; ++i) is_kept[static_cast<std::size_t>(ranked[static_cast<std::size_t>(i)])] = 1;
  std::vector<std::int32_t> result;
  for (std::int32_t column : order)
    if (is_kept[static_cast<std::size_t>(column)] == 0) result.push_back(column);
  result.insert(result.end(), ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(kept));
  return result;
}

}  // namespace halftone
