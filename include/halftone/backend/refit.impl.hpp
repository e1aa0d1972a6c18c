// Bodies of refit.hpp. In detail, one row of refit_planes: normal equations, their solution as stored, and the grid
// numbered anew.
#pragma once

#include <algorithm>  // fill_n
#include <atomic>

#include "halftone/backend/quantize.impl.hpp"
#include "halftone/backend/refit.hpp"
#include "halftone/backend/rows.hpp"
#include "halftone/quant/plane_fit.hpp"

namespace halftone {
namespace detail {

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

/// Writes the new grid of row r, its codes and values, and their change into row r of D.
template <class S>
void store_planes(const RefittedBinary<S>& refitted, Index r, PlaneRow& row, S* q, MatrixView<S> D) {
  PlaneTables<S> tables;
  tabulate_planes(row, tables);
  store_grid(row, tables, refitted.grid, r);
  for (Index t = 0; t < D.cols; ++t) {
    std::uint8_t& code = refitted.codes(r, refitted.columns[t]);
    code = tables.code_of[code];
    const S value = static_cast<S>(tables.level_of[code]);
    D(r, t) = value - q[refitted.columns[t]];
    q[refitted.columns[t]] = value;
  }
}

/// The parameters of row r as they stand: α_1 .. α_k and β.
template <class S>
void load_parameters(const FittedBinary<S>& grid, Index r, int size, float* parameters) {
  for (int i = 0; i < size; ++i) parameters[i] = i + 1 < size ? grid.alphas(i, r) : grid.biases[r];
}

}  // namespace detail

template <class S>
void centred_codes(const Context<Cpu>& context, MatrixView<const std::uint8_t> codes, const std::int32_t* columns,
                   const S* zeros, MatrixView<S> out) {
  detail::require_shape("centred_codes", "out", out.rows, out.cols, codes.rows, out.cols);
  detail::each_row(context, out.rows, out.cols, [&](Index r) {
    for (Index t = 0; t < out.cols; ++t) out(r, t) = static_cast<S>(codes(r, columns[t])) - zeros[r];
  });
}

template <class S>
Index refit_scales(const Context<Cpu>& context, MatrixView<const S> C, MatrixView<const S> P, MatrixView<const S> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q) {
  constexpr const char* who = "refit_scales";
  const bool whole = P.cols == Q.cols;  // if C is as wide, its columns are all of them in their order
  detail::require_shape(who, "P", P.rows, P.cols, C.rows, whole ? Q.cols : C.cols);
  detail::require_shape(who, "G", G.rows, G.cols, C.rows, Q.cols);
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
  detail::require_shape("sign_planes", "out", out.rows, out.cols, bits * codes.rows, out.cols);
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
  detail::require_shape(who, "A", A.rows, A.cols, bits * rows, D.cols);
  detail::require_shape(who, "P", P.rows, P.cols, A.rows, A.cols);
  detail::require_shape(who, "G", G.rows, G.cols, rows, Q.cols);
  detail::require_shape(who, "D", D.rows, D.cols, rows, D.cols);
  std::atomic<Index> changed{0};
  detail::each_row(context, rows, bits * D.cols, [&](Index r) {
    detail::PlaneRow row;
    detail::plane_equations(A, P, ones_H, G.row(r), refitted.columns, r, rows, row);
    std::fill_n(D.row(r), D.cols, S(0));
    float old[max_steps + 1];
    detail::load_parameters(refitted.grid, r, row.size, old);
    if (!detail::solve_planes(old, refitted.type, row)) return;
    detail::store_planes(refitted, r, row, Q.row(r), D);
    changed += 1;
  });
  return changed;
}

}  // namespace halftone
