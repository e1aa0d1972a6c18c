// A layer to refine, and refinement element by element in double.
#pragma once

#include <catch2/catch.hpp>

#include <cmath>
#include <numeric>
#include <vector>

#include "halftone/quant/grid_fit.hpp"
#include "halftone/solver/column_order.hpp"
#include "halftone/solver/refine.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

/// A matrix rounded to its grid, with target and moments; refined in place.
template <class S>
struct Refinable {
  Context<Cpu> context;
  GridOptions grid;
  Matrix<S> target, H, values;
  Matrix<std::uint8_t> codes;
  std::vector<std::int32_t> group_of_column, order;
  std::vector<std::uint8_t> kept;
  ScaleType kept_type = ScaleType::F16;
  UniformGrids<S, Cpu> grids;

  Refinable(Index rows, Index width, GridOptions options, std::uint64_t seed = 1, int threads = 2)
      : Refinable(random_matrix<S>(rows, width, seed, 0.1), moments(width, seed + 7), options, threads) {}

  Refinable(Matrix<S> weights, Matrix<S> second_moments, GridOptions options, int threads = 2)
      : context(threads),
        grid(options),
        target(std::move(weights)),
        H(std::move(second_moments)),
        values(target),
        codes(target.rows(), target.cols()),
        group_of_column(groups_of_columns(target.cols(), grid.group_columns(target.cols()))),
        grids(context, grid, target.rows(), grid.groups(target.cols())) {
    grids.fit_all(context, target, nullptr);
    round_block<S>(context, grids.cells(group_of_column.data()), values, codes);
  }
  Refinable(const Refinable&) = delete;

  /// XᵀX of correlated inputs, and a little damping.
  static Matrix<S> moments(Index width, std::uint64_t seed) {
    const auto X = random_inputs<double>(4 * width + 3, width, seed);
    Matrix<S> H(width, width);
    for (Index i = 0; i < width; ++i)
      for (Index j = 0; j < width; ++j) {
        double sum = i == j ? 1.0 : 0.0;
        for (Index t = 0; t < X.rows(); ++t) sum += X(t, i) * X(t, j);
        H(i, j) = static_cast<S>(sum / static_cast<double>(X.rows()));
      }
    return H;
  }

  RefinedLayer<S> layer() { return {target, H, values, codes, group_of_column, order, kept, kept_type}; }
  RefineReport refine(int rounds, double tolerance = 0, bool search = false) {
    return halftone::refine<S>(context, layer(), grids, RefineOptions{rounds, search, tolerance});
  }
  UniformCells<S> cells() const { return grids.cells(group_of_column.data()); }
  double scale(Index r, Index j) const {
    return static_cast<double>(cells().scales(group_of_column[static_cast<std::size_t>(j)], r));
  }
  double zero(Index r, Index j) const {
    return static_cast<double>(cells().zeros(group_of_column[static_cast<std::size_t>(j)], r));
  }
  /// tr((Q − T) H (Q − T)ᵀ) in double, element by element; of one row or all.
  double objective(Index row = -1) const {
    double sum = 0;
    for (Index r = 0; r < target.rows(); ++r)
      for (Index i = 0; i < target.cols() && (row < 0 || r == row); ++i)
        for (Index j = 0; j < target.cols(); ++j)
          sum += (static_cast<double>(values(r, i)) - static_cast<double>(target(r, i))) *
                 static_cast<double>(H(i, j)) * (static_cast<double>(values(r, j)) - static_cast<double>(target(r, j)));
    return sum;
  }
  /// True if every value that is no kept one is exactly what its code decodes to.
  bool consistent() const {
    bool good = true;
    for (Index r = 0; r < values.rows(); ++r)
      for (Index j = 0; j < values.cols(); ++j) {
        if (!kept.empty() && kept[static_cast<std::size_t>(j)] != 0) continue;
        const Index g = group_of_column[static_cast<std::size_t>(j)];
        good = good && codes(r, j) <= grid.top() &&
               values(r, j) == decode(static_cast<S>(codes(r, j)), cells().scales(g, r), cells().zeros(g, r));
      }
    return good;
  }
};

/// One row of a layer, refined with matrices in double and nothing kept up to date: G is formed anew before every move.
struct NaiveRow {
  std::vector<double> q, t;
  const Matrix<double>* H;

  double gradient(Index j) const {
    double sum = 0;
    for (std::size_t i = 0; i < q.size(); ++i) sum += (q[i] - t[i]) * (*H)(static_cast<Index>(i), j);
    return sum;
  }
  double objective() const {
    double sum = 0;
    for (std::size_t j = 0; j < q.size(); ++j) sum += (q[j] - t[j]) * gradient(static_cast<Index>(j));
    return sum;
  }
};

/// Refinement of `start` by definition, row after row: every move is tried on the objective itself. Returns the values.
inline Matrix<double> naive_refine(const Refinable<double>& start, int rounds) {
  Matrix<double> result = start.values;
  const Index rows = result.rows(), in = result.cols();
  std::vector<std::int32_t> order = start.order;
  if (order.empty()) order = natural_order(in);
  const auto is_kept = [&](Index j) { return !start.kept.empty() && start.kept[static_cast<std::size_t>(j)] != 0; };
  const auto group = [&](Index j) {
    return static_cast<std::size_t>(start.group_of_column[static_cast<std::size_t>(j)]);
  };
  for (Index r = 0; r < rows; ++r) {
    NaiveRow row{{result.row(r), result.row(r) + in}, {start.target.row(r), start.target.row(r) + in}, &start.H};
    std::vector<double> scales(group(in - 1) + 1), zeros(scales.size()), codes(static_cast<std::size_t>(in));
    for (Index j = 0; j < in; ++j) {
      scales[group(j)] = start.scale(r, j);
      zeros[group(j)] = start.zero(r, j);
      codes[static_cast<std::size_t>(j)] = start.codes(r, j);
    }
    const auto attempt = [&](auto&& change) {  // keeps a change that lowers the objective
      NaiveRow changed = row;
      change(changed);
      const bool better = changed.objective() < row.objective();
      if (better) row = changed;
      return better;
    };
    for (int round = 0; round < rounds; ++round) {
      for (std::int32_t column : order) {
        const Index j = column;
        const auto at = static_cast<std::size_t>(j);
        const double w = row.q[at] - row.gradient(j) / start.H(j, j);
        const double code = encode(w, scales[group(j)], zeros[group(j)], static_cast<double>(start.grid.top()));
        const double value = is_kept(j) ? static_cast<double>(static_cast<float>(Float16(static_cast<float>(w))))
                                        : decode(code, scales[group(j)], zeros[group(j)]);
        if (attempt([&](NaiveRow& changed) { changed.q[at] = value; })) codes[at] = code;
      }
      for (std::size_t g = 0; g < scales.size(); ++g) {  // the parabola through three points
        const auto with = [&](double scale) {
          NaiveRow changed = row;
          for (Index j = 0; j < in; ++j)
            if (group(j) == g && !is_kept(j))
              changed.q[static_cast<std::size_t>(j)] = scale * (codes[static_cast<std::size_t>(j)] - zeros[g]);
          return changed;
        };
        const double d = scales[g] / 8, here = row.objective(), right = with(scales[g] + d).objective(),
                     left = with(scales[g] - d).objective(), curvature = right + left - 2 * here;
        if (!(curvature > 0)) continue;
        const double wanted = scales[g] - d * (right - left) / (2 * curvature);
        if (!(wanted > 0)) continue;
        const double scale = round_scale(wanted, start.grid.scale_type);
        if (scale != scales[g] && attempt([&](NaiveRow& changed) { changed = with(scale); })) scales[g] = scale;
      }
    }
    std::copy(row.q.begin(), row.q.end(), result.row(r));
  }
  return result;
}

}  // namespace halftone::test
