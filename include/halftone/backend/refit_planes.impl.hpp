// One row of refit_planes: normal equations, their solution as stored, and the grid numbered anew.
#pragma once

#include <algorithm>  // swap
#include <cmath>      // sqrt

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/refine.hpp"

namespace halftone::detail {

/// Calls body(row) for every row of a matrix with `cols` columns, in parallel.
template <class Body>
void each_row(const Context<Cpu>& context, Index rows, Index cols, Body&& body) {
  parallel_pieces(context.threads(), rows, rows_of_unit(cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) body(r);
  });
}

/// Σ f(j) for j in [0, count) in double, in eight interleaved sums.
template <class Term>
double lane_sum(Index count, Term&& term) {
  constexpr Index lanes = 8;
  double lane[lanes] = {};
  Index j = 0;
  for (; j + lanes <= count; j += lanes)
    for (Index l = 0; l < lanes; ++l) lane[l] += term(j + l);
  for (; j < count; ++j) lane[0] += term(j);
  double sum = 0;
  for (double value : lane) sum += value;
  return sum;
}

/// M d = −b for the k + 1 parameters of a row, α_1 .. α_k and β, and what came out: d as stored.
struct PlaneRow {
  int size = 0;
  double M[max_steps + 1][max_steps + 1], b[max_steps + 1];
  float parameters[max_steps + 1];  ///< new ones
};

/// Row r of `rows`; A and P hold plane under plane.
template <class S>
void plane_equations(MatrixView<const S> A, MatrixView<const S> P, const S* ones_H, const S* g,
                     const std::int32_t* columns, Index r, Index rows, PlaneRow& row) {
  const Index width = A.cols;
  const int k = static_cast<int>(A.rows / rows);
  row.size = k + 1;
  for (int i = 0; i < k; ++i) {
    const S* const a = A.row(i * rows + r);
    for (int j = i; j < k; ++j) {
      const S* const p = P.row(j * rows + r);
      row.M[i][j] = row.M[j][i] =
          lane_sum(width, [&](Index t) { return static_cast<double>(a[t]) * static_cast<double>(p[t]); });
    }
    row.M[i][k] = row.M[k][i] =
        lane_sum(width, [&](Index t) { return static_cast<double>(a[t]) * static_cast<double>(ones_H[t]); });
    row.b[i] = lane_sum(width, [&](Index t) { return static_cast<double>(a[t]) * static_cast<double>(g[columns[t]]); });
  }
  row.M[k][k] = lane_sum(width, [&](Index t) { return static_cast<double>(ones_H[t]); });
  row.b[k] = lane_sum(width, [&](Index t) { return static_cast<double>(g[columns[t]]); });
}

/// Solves (M + ridge) x = b by Cholesky in place of M's copy; false if that is not positive definite. The ridge, 1e-9
/// of the mean diagonal, keeps planes apart that are equal in every column.
inline bool solve_spd(const PlaneRow& row, double* x) {
  double L[max_steps + 1][max_steps + 1], trace = 0;
  for (int i = 0; i < row.size; ++i) trace += row.M[i][i];
  const double ridge = 1e-9 * trace / row.size;
  for (int i = 0; i < row.size; ++i)
    for (int j = 0; j <= i; ++j) {
      double sum = row.M[i][j] + (i == j ? ridge : 0);
      for (int m = 0; m < j; ++m) sum -= L[i][m] * L[j][m];
      if (i == j && !(sum > 0)) return false;
      L[i][j] = i == j ? std::sqrt(sum) : sum / L[j][j];
    }
  for (int i = 0; i < row.size; ++i) {
    x[i] = row.b[i];
    for (int m = 0; m < i; ++m) x[i] -= L[i][m] * x[m];
    x[i] /= L[i][i];
  }
  for (int i = row.size - 1; i >= 0; --i) {
    for (int m = i + 1; m < row.size; ++m) x[i] -= L[m][i] * x[m];
    x[i] /= L[i][i];
  }
  return true;
}

/// New parameters of row r as stored; false where they do not lower the objective.
template <class S>
bool solve_planes(const RefittedBinary<S>& refitted, Index r, PlaneRow& row) {
  double x[max_steps + 1], d[max_steps + 1], change = 0;
  if (!solve_spd(row, x)) return false;
  for (int i = 0; i < row.size; ++i) {
    const float old = i + 1 < row.size ? refitted.grid.alphas(i, r) : refitted.grid.biases[r];
    row.parameters[i] = round_stored(static_cast<float>(static_cast<double>(old) - x[i]), refitted.type);
    d[i] = static_cast<double>(row.parameters[i]) - static_cast<double>(old);
  }
  for (int i = 0; i < row.size; ++i) {
    change += 2 * row.b[i] * d[i];
    for (int j = 0; j < row.size; ++j) change += d[i] * row.M[i][j] * d[j];
  }
  return change < 0;
}

/// Makes alphas [bits] descending and none negative. code_of[old code]: the code that decodes to the same signed sum.
inline void order_planes(float* alphas, int bits, std::uint8_t* code_of) {
  int from[max_steps];
  unsigned flipped = 0;
  for (int i = 0; i < bits; ++i) {
    from[i] = i;
    if (!(alphas[i] < 0)) continue;
    alphas[i] = -alphas[i];
    flipped |= 1u << i;
  }
  for (int i = 1; i < bits; ++i)
    for (int j = i; j > 0 && alphas[j - 1] < alphas[j]; --j) {
      std::swap(alphas[j - 1], alphas[j]);
      std::swap(from[j - 1], from[j]);
    }
  for (unsigned code = 0; code < 1u << bits; ++code) {
    unsigned renamed = 0;
    for (int i = 0; i < bits; ++i) renamed |= ((code ^ flipped) >> from[i] & 1u) << i;
    code_of[code] = static_cast<std::uint8_t>(renamed);
  }
}

/// Writes the new grid of row r, its codes and values, and their change into row r of D.
template <class S>
void store_planes(const RefittedBinary<S>& refitted, Index r, PlaneRow& row, S* q, MatrixView<S> D) {
  const int bits = row.size - 1, count = 1 << bits;
  const FittedBinary<S>& grid = refitted.grid;
  std::uint8_t code_of[1 << max_steps], codes[1 << max_steps];
  float levels[1 << max_steps], level_of[1 << max_steps];
  order_planes(row.parameters, bits, code_of);
  ascending_levels(row.parameters, 1, row.parameters[bits], bits, levels, codes);
  for (int m = 0; m < count; ++m) level_of[codes[m]] = levels[m];
  for (int i = 0; i < bits; ++i) grid.alphas(i, r) = row.parameters[i];
  grid.biases[r] = row.parameters[bits];
  for (int m = 0; m < count; ++m) {
    grid.levels(m, r) = static_cast<S>(levels[m]);
    grid.codes(m, r) = codes[m];
    if (m + 1 < count)
      grid.thresholds(m, r) = threshold_between(static_cast<S>(levels[m]), static_cast<S>(levels[m + 1]));
  }
  for (Index t = 0; t < D.cols; ++t) {
    std::uint8_t& code = refitted.codes(r, refitted.columns[t]);
    code = code_of[code];
    const S value = static_cast<S>(level_of[code]);
    D(r, t) = value - q[refitted.columns[t]];
    q[refitted.columns[t]] = value;
  }
}

}  // namespace halftone::detail
