// One row of a refit of binary-coded grids (backend/refit.hpp): normal equations, their solution as stored, and the
// grid numbered anew. Host-device functions, for both backends.
#pragma once

#include <cmath>  // sqrt

#include "halftone/backend/binary_grid.hpp"
#include "halftone/quant/step_vectors.hpp"

namespace halftone::detail {

/// M d = −b for the k + 1 parameters of a row, α_1 .. α_k and β, and what came out: d as stored.
struct PlaneRow {
  int size = 0;
  double M[max_steps + 1][max_steps + 1], b[max_steps + 1];
  float parameters[max_steps + 1];  ///< new ones
};

/// Solves (M + ridge) x = b by Cholesky in place of M's copy; false if that is not positive definite. The ridge, 1e-9
/// of the mean diagonal, keeps planes apart that are equal in every column.
HALFTONE_HOST_DEVICE bool solve_spd(const PlaneRow& row, double* x) {
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

/// New parameters of a row, as stored, from its old ones [row.size]; false where they do not lower the objective.
HALFTONE_HOST_DEVICE bool solve_planes(const float* old, ScaleType type, PlaneRow& row) {
  double x[max_steps + 1], d[max_steps + 1], change = 0;
  if (!solve_spd(row, x)) return false;
  for (int i = 0; i < row.size; ++i) {
    row.parameters[i] = round_stored(static_cast<float>(static_cast<double>(old[i]) - x[i]), type);
    d[i] = static_cast<double>(row.parameters[i]) - static_cast<double>(old[i]);
  }
  for (int i = 0; i < row.size; ++i) {
    change += 2 * row.b[i] * d[i];
    for (int j = 0; j < row.size; ++j) change += d[i] * row.M[i][j] * d[j];
  }
  return change < 0;
}

/// Makes alphas [bits] descending and none negative. code_of[old code]: the code that decodes to the same signed sum.
HALFTONE_HOST_DEVICE void order_planes(float* alphas, int bits, std::uint8_t* code_of) {
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
      const float alpha = alphas[j - 1];
      const int plane = from[j - 1];
      alphas[j - 1] = alphas[j];
      from[j - 1] = from[j];
      alphas[j] = alpha;
      from[j] = plane;
    }
  for (unsigned code = 0; code < 1u << bits; ++code) {
    unsigned renamed = 0;
    for (int i = 0; i < bits; ++i) renamed |= ((code ^ flipped) >> from[i] & 1u) << i;
    code_of[code] = static_cast<std::uint8_t>(renamed);
  }
}

/// The new grid of a row in the order of its levels.
template <class S>
struct PlaneTables {
  std::uint8_t code_of[1 << max_steps];  ///< new code of an old one
  std::uint8_t codes[1 << max_steps];    ///< of the levels
  float levels[1 << max_steps];          ///< ascending
  float level_of[1 << max_steps];        ///< by new code
};
template <class S>
HALFTONE_HOST_DEVICE void tabulate_planes(PlaneRow& row, PlaneTables<S>& tables) {
  const int bits = row.size - 1;
  order_planes(row.parameters, bits, tables.code_of);
  ascending_levels(row.parameters, 1, row.parameters[bits], bits, tables.levels, tables.codes);
  for (int m = 0; m < 1 << bits; ++m) tables.level_of[tables.codes[m]] = tables.levels[m];
}

/// Writes the new grid of row r.
template <class S>
HALFTONE_HOST_DEVICE void store_grid(const PlaneRow& row, const PlaneTables<S>& tables, const FittedBinary<S>& grid,
                                     Index r) {
  const int bits = row.size - 1, count = 1 << bits;
  for (int i = 0; i < bits; ++i) grid.alphas(i, r) = row.parameters[i];
  grid.biases[r] = row.parameters[bits];
  for (int m = 0; m < count; ++m) {
    grid.levels(m, r) = static_cast<S>(tables.levels[m]);
    grid.codes(m, r) = tables.codes[m];
    if (m + 1 < count)
      grid.thresholds(m, r) = threshold_between(static_cast<S>(tables.levels[m]), static_cast<S>(tables.levels[m + 1]));
  }
}

}  // namespace halftone::detail
