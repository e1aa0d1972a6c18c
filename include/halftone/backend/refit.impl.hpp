// Bodies of refit.hpp. In detail, one row of refit_planes: normal equations, their solution as stored, and the grid
// numbered anew.
#pragma once

#include <algorithm>  // fill_n, swap
#include <atomic>
#include <cmath>  // sqrt

#include "halftone/backend/quantize.impl.hpp"
#include "halftone/backend/refit.hpp"
#include "halftone/backend/rows.hpp"

namespace halftone {
namespace detail {

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

}  // namespace detail

template <class S>
void centred_codes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                   const S* zeros, MatrixView<S> out) {
  detail::require_shape<S>("centred_codes", "out", out.rows, out.cols, codes.rows, out.cols);
  detail::each_row(context, out.rows, out.cols, [&](Index r) {
    for (Index t = 0; t < out.cols; ++t) out(r, t) = static_cast<S>(codes(r, columns[t])) - zeros[r];
  });
}

template <class S>
Index refit_scales(const Context<Cpu>& context, MatrixView<const S> C, MatrixView<const S> P, MatrixView<const S> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q) {
  constexpr const char* who = "refit_scales";
  const bool whole = P.cols == Q.cols;  // if C is as wide, its columns are all of them in their order
  detail::require_shape<S>(who, "P", P.rows, P.cols, C.rows, whole ? Q.cols : C.cols);
  detail::require_shape<S>(who, "G", G.rows, G.cols, C.rows, Q.cols);
  std::atomic<Index> changed{0};
  detail::each_row(context, C.rows, C.cols, [&](Index r) {
    const S *c = C.row(r), *p = P.row(r), *g = G.row(r);
    const double a = detail::lane_sum(
        C.cols, [&](Index t) { return static_cast<double>(c[t]) * static_cast<double>(p[whole ? columns[t] : t]); });
    const double b = detail::lane_sum(
        C.cols, [&](Index t) { return static_cast<double>(c[t]) * static_cast<double>(g[columns[t]]); });
    steps[r] = S(0);
    const double wanted = static_cast<double>(scales[r]) - b / a;
    if (!(a > 0) || !(wanted > 0)) return;
    const S scale = round_scale(static_cast<S>(wanted), type);
    const double step = static_cast<double>(scale) - static_cast<double>(scales[r]);
    if (!(step * (2 * b + a * step) < 0)) return;
    steps[r] = static_cast<S>(step);
    scales[r] = scale;
    for (Index t = 0; t < C.cols; ++t) Q(r, columns[t]) = scale * c[t];
    changed += 1;
  });
  return changed;
}

template <class S>
void sign_planes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                 int bits, MatrixView<S> out) {
  detail::require_shape<S>("sign_planes", "out", out.rows, out.cols, bits * codes.rows, out.cols);
  detail::each_row(context, out.rows, out.cols, [&](Index line) {
    const Index plane = line / codes.rows;
    const std::uint8_t* const code = codes.row(line % codes.rows);
    for (Index t = 0; t < out.cols; ++t) out(line, t) = (code[columns[t]] >> plane & 1) != 0 ? S(1) : S(-1);
  });
}

template <class S>
Index refit_planes(const Context<Cpu>& context, MatrixView<const S> A, MatrixView<const S> P, const S* ones_H,
                   MatrixView<const S> G, const RefittedBinary<S>& refitted, MatrixView<S> Q, MatrixView<S> D) {
  constexpr const char* who = "refit_planes";
  const Index rows = Q.rows, bits = refitted.grid.alphas.rows;
  detail::require_shape<S>(who, "A", A.rows, A.cols, bits * rows, D.cols);
  detail::require_shape<S>(who, "P", P.rows, P.cols, A.rows, A.cols);
  detail::require_shape<S>(who, "G", G.rows, G.cols, rows, Q.cols);
  detail::require_shape<S>(who, "D", D.rows, D.cols, rows, D.cols);
  std::atomic<Index> changed{0};
  detail::each_row(context, rows, bits * D.cols, [&](Index r) {
    detail::PlaneRow row;
    detail::plane_equations(A, P, ones_H, G.row(r), refitted.columns, r, rows, row);
    std::fill_n(D.row(r), D.cols, S(0));
    if (!detail::solve_planes(refitted, r, row)) return;
    detail::store_planes(refitted, r, row, Q.row(r), D);
    changed += 1;
  });
  return changed;
}

}  // namespace halftone
