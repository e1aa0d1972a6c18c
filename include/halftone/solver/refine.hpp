// Refinement of a solved layer: lowers its objective with the freedom of its grid alone, after any solver.
//
//   tr((Q − T) H (Q − T)ᵀ)      Q [out, in] quantised values, T [out, in] their target, H [in, in] (damped) moments
//
// A round is one pass of cyclic coordinate descent over the codes, one of a search that leaves its local minima, and a
// refit of each group's grid parameters under H with the codes fixed. Every step lowers the objective of its row or is
// not taken. With G = (Q − T) H:
//
//   codes   column by column: w = Q_j − G_j / H_jj, Q_j moves to the nearest value of its grid, G += ΔQ_j ⊗ H[j, :]
//   search  block by block of columns: tabu moves of one code to a neighbouring value, row by row
//   scales  group by group: least squares in the scale (or α, β), rounded to the stored type
//   kept    (outlier) columns move freely: Q_j = w, rounded to 16 bits
//
// Coordinate descent on a quadratic over a lattice is old; on weights it is what CDQuant (2406.17542) and QuantEase
// (2309.01885) do instead of error diffusion. Here it follows one, where it starts close to a minimum: a few rounds
// are enough. Tabu search (Glover 1989) is what works on binary quadratic programs of this size; on the layers of three
// small models it lowers the objective of GPTQ's codes to 0.50 .. 0.79 of itself where descent alone reaches
// 0.61 .. 0.89.
//
// Cost of a round: 3 · out · in² multiply-adds in products (one pass of error diffusion has out · in² / 2), inside
// blocks of columns out · in · 128 more, and up to out · in · 1300 in the search; G is formed once before. Memory: G,
// and at the start Q − T. The same bytes for any number of threads.
#pragma once

#include <algorithm>  // min, sort
#include <numeric>    // iota
#include <span>
#include <utility>  // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/refine.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/grid_refit.hpp"

namespace halftone {

struct RefineOptions {
  int refine = 0;
  bool refine_search = true;
  double refine_tolerance = 1e-3;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(integer("refine", self.refine, 0, 1000, "most rounds of refinement after the solve; 0: none"));
    visit(flag("refine_search", self.refine_search, "refinement searches beyond the nearest minimum (tabu moves)"));
    visit(real("refine_tolerance", self.refine_tolerance, 0, 1,
               "refinement ends with a round that lowers the objective by less than this share of it"));
  }
};

/// What refinement did.
struct RefineReport {
  double before = 0, after = 0;  ///< objective, in the units of H
  int rounds = 0;                ///< rounds done
  Index moves = 0;               ///< codes and kept values moved, one counted again when it moves again
  Index refits = 0;              ///< grid parameters changed, rows × groups, counted likewise
};

/// A solved layer, columns in their original order, all matrices in the backend's memory.
template <class S>
struct RefinedLayer {
  MatrixView<const S> target;                     ///< T [out, in]
  MatrixView<const S> H;                          ///< [in, in], both triangles, diagonal > 0
  MatrixView<S> values;                           ///< Q [out, in] in, out; what the codes decode to, and kept values
  MatrixView<std::uint8_t> codes;                 ///< [out, in] in, out
  std::span<const std::int32_t> group_of_column;  ///< [in]
  std::span<const std::int32_t> order;            ///< [in] columns in the order of visit; empty: as they stand
  std::span<const std::uint8_t> kept;             ///< [in] nonzero: a kept column; empty: none
  ScaleType kept_type = ScaleType::F16;           ///< type that kept values are stored in
};

namespace detail {

template <class S>
void require_layer(const RefinedLayer<S>& layer) {
  constexpr const char* who = "refine";
  const Index rows = layer.values.rows, in = layer.values.cols;
  const auto matrix = [&](const char* what, Index got_rows, Index got_cols, Index wanted_rows) {
    require(got_rows == wanted_rows && got_cols == in, Status::ShapeMismatch, who, ": ", what, " is ", got_rows, " x ",
            got_cols, ", wanted ", wanted_rows, " x ", in);
  };
  const auto list = [&](const char* what, std::size_t size, bool optional) {
    require(static_cast<Index>(size) == in || (optional && size == 0), Status::ShapeMismatch, who, ": ", what, " has ",
            size, " entries, wanted ", in, optional ? " or none" : "");
  };
  matrix("target", layer.target.rows, layer.target.cols, rows);
  matrix("H", layer.H.rows, layer.H.cols, in);
  matrix("codes", layer.codes.rows, layer.codes.cols, rows);
  list("group_of_column", layer.group_of_column.size(), false);
  list("order", layer.order.size(), true);
  list("kept", layer.kept.size(), true);
  std::vector<bool> seen(static_cast<std::size_t>(in), false);
  for (std::int32_t column : layer.order) {
    require(column >= 0 && column < in && !seen[static_cast<std::size_t>(column)], Status::InvalidArgument, who,
            ": order holds ", column, ", wanted every column 0 .. ", in - 1, " once");
    seen[static_cast<std::size_t>(column)] = true;
  }
}

/// Columns of every group, ascending, without kept ones.
template <class S>
std::vector<std::vector<std::int32_t>> columns_of_groups(const RefinedLayer<S>& layer) {
  std::vector<std::vector<std::int32_t>> columns;
  for (std::size_t j = 0; j < layer.group_of_column.size(); ++j) {
    const auto group = static_cast<std::size_t>(layer.group_of_column[j]);
    if (group >= columns.size()) columns.resize(group + 1);
    if (layer.kept.empty() || layer.kept[j] == 0) columns[group].push_back(static_cast<std::int32_t>(j));
  }
  return columns;
}

/// The rows of H that a list of columns names: a view where they stand side by side, else a copy in `buffer`.
template <class S, class Backend>
MatrixView<const S> rows_of(const Context<Backend>& context, MatrixView<const S> H,
                            std::span<const std::int32_t> columns, typename Backend::template Matrix<S>& buffer) {
  const auto count = static_cast<Index>(columns.size());
  bool together = true;
  for (std::size_t t = 1; t < columns.size(); ++t) together = together && columns[t] == columns[t - 1] + 1;
  if (together) return H.middle_rows(columns[0], count);
  buffer = context.template allocate<S>(count, H.cols);
  gather_rows<S>(context, H, columns.data(), buffer.view());
  return std::as_const(buffer).view();
}

/// One pass over the columns of `order`, block by block: `move(cells, block)` changes codes, G follows. Returns the
/// moves.
template <class S, class Backend, class Grids, class Move>
Index sweep_codes(const Context<Backend>& context, const RefinedLayer<S>& layer, std::span<const std::int32_t> order,
                  const Grids& grids, MatrixView<S> G, Move&& move) {
  constexpr std::size_t width = 128;  // columns between two updates of all of G
  const auto cells = grids.cells(layer.group_of_column.data());
  typename Backend::template Matrix<S> buffer;
  auto errors = context.template allocate<S>(G.rows, std::min<Index>(width, G.cols));
  Index moves = 0;
  for (std::size_t first = 0; first < order.size(); first += width) {
    const auto columns = order.subspan(first, std::min(width, order.size() - first));
    const auto count = static_cast<Index>(columns.size());
    const MatrixView<const S> rows = rows_of<S, Backend>(context, layer.H, columns, buffer);
    auto own = context.template allocate<S>(count, count);
    gather_columns<S>(context, rows, columns.data(), own.view());
    const MatrixView<S> E = errors.view().middle_cols(0, count);
    const Index moved =
        move(cells, RefinedColumns<S>{columns.data(), count, std::as_const(own).view(), G, layer.values, layer.codes, E,
                                      layer.kept.empty() ? nullptr : layer.kept.data(), layer.kept_type});
    if (moved > 0) gemm<S>(context, Transpose::No, Transpose::No, S(-1), E, rows, S(1), G);
    moves += moved;
  }
  return moves;
}

/// A refit of every group. Returns rows × groups that changed.
template <class S, class Backend, class Grids>
Index refit_groups(const Context<Backend>& context, const RefinedLayer<S>& layer,
                   const std::vector<std::vector<std::int32_t>>& groups, Grids& grids, MatrixView<S> G) {
  typename Backend::template Matrix<S> buffer;
  Index refits = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty()) continue;
    const RefitTask<S> task{groups[g].data(),
                            static_cast<Index>(groups[g].size()),
                            rows_of<S, Backend>(context, layer.H, groups[g], buffer),
                            layer.values,
                            G,
                            layer.codes};
    refits += grids.refit(context, static_cast<Index>(g), task);
  }
  return refits;
}

}  // namespace detail

/// Refines a layer in place: values, codes and the parameters in `grids` (a grid policy of solver/error_diffusion.hpp
/// that can also refit(context, group, task); its parameters must be those that the codes decode with). Stops after
/// options.refine rounds, or with the first round that gains less than options.refine_tolerance of the objective.
/// Throws Status::ShapeMismatch.
template <class S, class Backend, class Grids>
RefineReport refine(const Context<Backend>& context, const RefinedLayer<S>& layer, Grids& grids,
                    const RefineOptions& options) {
  detail::require_layer(layer);
  RefineReport report;
  const Index rows = layer.values.rows, in = layer.values.cols;
  if (options.refine == 0 || rows == 0 || in == 0) return report;

  auto G = context.template allocate<S>(rows, in);
  {
    auto difference = context.copy(MatrixView<const S>(layer.values));
    add_scaled(context, difference.view(), S(-1), layer.target);
    gemm<S>(context, Transpose::No, Transpose::No, S(1), difference, layer.H, S(0), G);
  }
  const auto objective = [&] { return residual_product<S>(context, layer.values, layer.target, G); };
  std::vector<std::int32_t> order(layer.order.begin(), layer.order.end());
  if (order.empty()) {
    order.resize(static_cast<std::size_t>(in));
    std::iota(order.begin(), order.end(), 0);
  }
  std::vector<std::int32_t> coded;  // what the search may move
  for (std::int32_t column : order)
    if (layer.kept.empty() || layer.kept[static_cast<std::size_t>(column)] == 0) coded.push_back(column);
  const auto groups = detail::columns_of_groups(layer);
  const auto descend = [&](const auto& cells, const RefinedColumns<S>& block) {
    return descend_columns<S>(context, cells, block);
  };
  const auto search = [&](const auto& cells, const RefinedColumns<S>& block) {
    return search_columns<S>(context, cells, block);
  };

  report.before = report.after = objective();
  for (bool gaining = true; gaining && report.rounds < options.refine; ++report.rounds) {
    Index moves = detail::sweep_codes<S>(context, layer, order, grids, G.view(), descend);
    if (options.refine_search) moves += detail::sweep_codes<S>(context, layer, coded, grids, G.view(), search);
    const Index refits = detail::refit_groups<S>(context, layer, groups, grids, G.view());
    const double last = report.after;
    report.after = objective();
    report.moves += moves;
    report.refits += refits;
    gaining = moves + refits > 0 && last - report.after >= options.refine_tolerance * last;
  }
  return report;
}

}  // namespace halftone
