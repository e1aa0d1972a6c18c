// Refit of a group's grid parameters with the codes fixed, in closed form under H. (No paper: the normal equations of
// the layer's quadratic objective in the scales alone.)
#pragma once

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/refine.hpp"

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

}  // namespace halftone
