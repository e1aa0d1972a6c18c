// GPTQ as one would write it on a blackboard, in double: an explicit inverse of the trailing part of H for every
// column, no factor, no blocks. The truth that the solvers are compared with.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "halftone/core/dtype.hpp"
#include "halftone/solver/gptq.hpp"

namespace halftone::test {

/// Inverse by Gauss-Jordan elimination with pivoting.
inline Matrix<double> naive_inverse(Matrix<double> A) {
  const Index n = A.rows();
  Matrix<double> inverse(n, n, 0.0);
  for (Index i = 0; i < n; ++i) inverse(i, i) = 1;
  for (Index c = 0; c < n; ++c) {
    Index pivot = c;
    for (Index r = c; r < n; ++r)
      if (std::abs(A(r, c)) > std::abs(A(pivot, c))) pivot = r;
    for (Index j = 0; j < n; ++j) {
      std::swap(A(c, j), A(pivot, j));
      std::swap(inverse(c, j), inverse(pivot, j));
    }
    const double d = A(c, c);
    for (Index j = 0; j < n; ++j) {
      A(c, j) /= d;
      inverse(c, j) /= d;
    }
    for (Index r = 0; r < n; ++r) {
      if (r == c) continue;
      const double f = A(r, c);
      for (Index j = 0; j < n; ++j) {
        A(r, j) -= f * A(c, j);
        inverse(r, j) -= f * inverse(c, j);
      }
    }
  }
  return inverse;
}

/// A[first:, first:].
inline Matrix<double> trailing(const Matrix<double>& A, Index first) {
  return Matrix<double>(A.view().block(first, first, A.rows() - first, A.cols() - first));
}

struct NaiveResult {
  Matrix<std::uint8_t> codes;       // original columns
  Matrix<double> values;            // original columns
  std::vector<std::int32_t> group;  // of each original column
  double loss = 0;                  // Σ (w − q)² / d, d the diagonal of the inverse
};

/// Min-max grid of some weights of one row: scale, zero.
inline std::pair<double, double> naive_grid(const std::vector<double>& weights, const GridOptions& options) {
  double lo = 0, hi = 0;
  for (double w : weights) {
    lo = std::min(lo, w);
    hi = std::max(hi, w);
  }
  if (options.symmetric) {
    hi = std::max(hi, -lo);
    lo = -hi;
  }
  if (lo == 0 && hi == 0) {
    lo = -1;
    hi = 1;
  }
  const auto scale =
      static_cast<double>(rounded_to(dtype_of(options.scale_type), static_cast<float>((hi - lo) / options.top())));
  if (options.symmetric) return {scale, options.levels() / 2};
  return {scale, std::clamp(std::nearbyint(-lo / scale), static_cast<double>(options.minimum_zero),
                            static_cast<double>(options.top()))};
}

/// W [out, in], H [in, in] = XᵀX. Min-max grids.
inline NaiveResult naive_gptq(Matrix<double> W, const Matrix<double>& H, const GptqOptions& options) {
  const Index m = W.rows(), n = W.cols(), g = options.grid.group_columns(n);
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  if (options.act_order)
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return H(a, a) > H(b, b); });
  double mean = 0;
  Index live = 0;
  for (Index i = 0; i < n; ++i) {
    if (H(i, i) > 0) ++live;
    mean += H(i, i);
    for (Index r = 0; r < m && H(i, i) == 0; ++r) W(r, i) = 0;
  }
  mean /= static_cast<double>(std::max<Index>(live, 1));
  Matrix<double> Hd(n, n), V(m, n);
  for (Index p = 0; p < n; ++p) {
    const Index i = order[static_cast<std::size_t>(p)];
    for (Index q = 0; q < n; ++q) Hd(p, q) = H(i, order[static_cast<std::size_t>(q)]);
    Hd(p, p) = H(i, i) == 0 ? 1 : H(i, i) + options.damping * mean;
    for (Index r = 0; r < m; ++r) V(r, p) = W(r, i);
  }

  NaiveResult result{{m, n}, {m, n}, std::vector<std::int32_t>(static_cast<std::size_t>(n)), 0};
  std::vector<Matrix<double>> grids(static_cast<std::size_t>(n), Matrix<double>(m, 2));
  const auto fit = [&](Index group, const Matrix<double>& source) {
    Matrix<double>& grid = grids[static_cast<std::size_t>(group)];
    for (Index r = 0; r < m; ++r) {
      std::vector<double> weights;
      for (Index c = group * g; c < std::min(n, (group + 1) * g); ++c) weights.push_back(source(r, c));
      std::tie(grid(r, 0), grid(r, 1)) = naive_grid(weights, options.grid);
    }
  };
  for (Index group = 0; group * g < n; ++group) fit(group, W);

  Matrix<double> at_block_start = V;
  for (Index q = 0; q < n; ++q) {
    if (q % options.block_size == 0) at_block_start = V;
    if (options.groups != GroupMode::Static && q % g == 0)
      fit(q / g, options.groups == GroupMode::Fresh ? V : at_block_start);
    const Index column = order[static_cast<std::size_t>(q)];
    const Index group = options.groups == GroupMode::Static ? column / g : q / g;
    const Matrix<double>& grid = grids[static_cast<std::size_t>(group)];
    result.group[static_cast<std::size_t>(column)] = static_cast<std::int32_t>(group);
    const Matrix<double> inverse = naive_inverse(trailing(Hd, q));
    for (Index r = 0; r < m; ++r) {
      const double scale = grid(r, 0), zero = grid(r, 1);
      const double code =
          std::clamp(std::nearbyint(V(r, q) / scale) + zero, 0.0, static_cast<double>(options.grid.top()));
      const double error = V(r, q) - scale * (code - zero);
      result.codes(r, column) = static_cast<std::uint8_t>(code);
      result.values(r, column) = scale * (code - zero);
      result.loss += error * error / inverse(0, 0);
      for (Index c = q; c < n; ++c) V(r, c) -= error / inverse(0, 0) * inverse(0, c - q);
    }
  }
  return result;
}

}  // namespace halftone::test
