// Refit of a group's grid parameters with the codes fixed, in closed form under H. (No paper: the normal equations of
// the layer's quadratic objective in the scales alone.)
#pragma once

#include <algorithm>  // min

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/refine.hpp"
#include "halftone/backend/refit.hpp"

namespace halftone {

/// One group of a matrix that is being refined; names as in backend/refine.hpp.
template <class S>
struct RefitTask {
  const std::int32_t* columns = nullptr;  ///< [width] the group's columns, ascending, without kept ones
  Index width = 0;
  MatrixView<const S> H;           ///< [width, in] their rows of H
  MatrixView<S> Q, G;              ///< [rows, in] in, out
  MatrixView<std::uint8_t> codes;  ///< [rows, in] in; out where the grid numbers its values anew
};

/// Uniform grids: with c = code − zero, a = cᵀ H c and b = cᵀ g, the objective of a row changes by 2 b d + a d² when
/// its scale changes by d; scale − b / a, rounded to `type`, is taken where that lowers the objective. Zeros stay.
/// scales [rows] in, out; zeros [rows]. Returns the rows that changed. Cost: rows · width · in multiply-adds, and
/// rows · width² for groups of less than half the columns.
template <class S, class Backend>
Index refit_uniform(const Context<Backend>& context, const RefitTask<S>& task, ScaleType type, S* scales,
                    const S* zeros) {
  const Index rows = task.Q.rows, in = task.Q.cols, width = task.width;
  const bool whole = 2 * width > in;  // then C · H serves the refit and the update of G
  auto C = context.template allocate<S>(rows, width);
  auto P = context.template allocate<S>(rows, whole ? in : width);
  auto steps = context.template allocate<S>(1, rows);
  const auto H = task.H, codes_H = MatrixView<const S>(C.view());
  centred_codes<S>(context, task.codes, task.columns, zeros, C.view());
  if (whole) {
    gemm<S>(context, Transpose::No, Transpose::No, S(1), codes_H, H, S(0), P.view());
  } else {
    auto own = context.template allocate<S>(width, width);
    gather_columns<S>(context, H, task.columns, own.view());
    gemm<S>(context, Transpose::No, Transpose::No, S(1), codes_H, own.view(), S(0), P.view());
  }
  const Index changed =
      refit_scales<S>(context, C.view(), P.view(), task.G, task.columns, type, scales, steps.data(), task.Q);
  if (changed == 0) return 0;
  if (whole) {
    add_scaled_rows<S>(context, task.G, steps.data(), P.view());
  } else {
    scale_rows<S>(context, C.view(), steps.data());
    gemm<S>(context, Transpose::No, Transpose::No, S(1), codes_H, H, S(1), task.G);
  }
  return changed;
}

/// Binary-coded grids: least squares in α and β under H (refit_planes), in pieces of rows, since the signs of a piece
/// need bits times its room. Returns the rows that changed. Cost: bits · rows · width² multiply-adds and
/// rows · width · in.
template <class S, class Backend>
Index refit_binary(const Context<Backend>& context, const RefitTask<S>& task, ScaleType type,
                   const FittedBinary<S>& grid) {
  constexpr Index piece = 256;
  const Index width = task.width, bits = grid.alphas.rows, most = std::min(piece, task.Q.rows);
  auto own = context.template allocate<S>(width, width);
  auto A = context.template allocate<S>(bits * most, width), P = context.template allocate<S>(bits * most, width);
  auto D = context.template allocate<S>(most, width), ones = context.template allocate<S>(1, width),
       ones_H = context.template allocate<S>(1, width);
  gather_columns<S>(context, task.H, task.columns, own.view());
  fill(context, ones.view(), S(1));
  gemm<S>(context, Transpose::No, Transpose::No, S(1), ones.view(), own.view(), S(0), ones_H.view());
  Index changed = 0;
  for (Index row = 0; row < task.Q.rows; row += piece) {
    const Index rows = std::min(piece, task.Q.rows - row);
    const auto codes = task.codes.middle_rows(row, rows);
    const MatrixView<S> signs = A.view().middle_rows(0, bits * rows), products = P.view().middle_rows(0, bits * rows),
                        moved = D.view().middle_rows(0, rows), G = task.G.middle_rows(row, rows);
    sign_planes<S>(context, codes, task.columns, static_cast<int>(bits), signs);
    gemm<S>(context, Transpose::No, Transpose::No, S(1), signs, own.view(), S(0), products);
    const RefittedBinary<S> refitted{grid.from_row(row), type, codes, task.columns};
    const Index here =
        refit_planes<S>(context, signs, products, ones_H.data(), G, refitted, task.Q.middle_rows(row, rows), moved);
    if (here > 0) gemm<S>(context, Transpose::No, Transpose::No, S(1), moved, task.H, S(1), G);
    changed += here;
  }
  return changed;
}

}  // namespace halftone
