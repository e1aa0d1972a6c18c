// How far a quantised matrix is from the weights, as numbers whose names are their formulas. Written in primitives.
#pragma once

#include <algorithm>  // min
#include <utility>    // as_const

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/spillable_matrix.hpp"

namespace halftone {

namespace detail {
/// A view whose scalar type another argument decides, so that matrices convert to it.
template <class S>
using ViewOf = std::type_identity_t<MatrixView<const S>>;
}  // namespace detail

namespace detail {
/// The sum of quadratic_form: multiply(first, count, b, P) sets P [rows, n] to A[:, first:+count] · H[first:+count,
/// b:+n].
template <class S, class Backend, class Multiply>
double quadratic_sum(const Context<Backend>& context, MatrixView<const S> A, Multiply&& multiply) {
  constexpr Index width = 512;
  auto product = context.template allocate<S>(A.rows, std::min(width, A.cols));
  double total = 0;
  for (Index b = 0; b < A.cols; b += width) {
    const MatrixView<S> P = product.view().middle_cols(0, std::min(width, A.cols - b));
    const auto term = [&](Index first, Index count) {
      multiply(first, count, b, P);
      return inner_product(context, MatrixView<const S>(P), A.middle_cols(b, P.cols));
    };
    if (b > 0) total += 2 * term(0, b);
    total += term(b, P.cols);
  }
  return total;
}
}  // namespace detail

/// tr(A H Aᵀ) for A [rows, in] and symmetric H [in, in], both triangles. Column blocks b of H: the part above the
/// diagonal block counts twice, so that rows·in² multiply-adds become half as many. Products in S, sums in double.
/// `products` BFloat16 rounds A and H in the products (float): off by some 10⁻⁵ of itself, by up to 2⁻⁸ where one
/// channel is all of it.
template <class S, class Backend>
double quadratic_form(const Context<Backend>& context, MatrixView<const S> A, detail::ViewOf<S> H,
                      ProductType products = ProductType::Float) {
  if constexpr (may_round<S, Backend>) {
    if (products == ProductType::BFloat16) {
      const auto left = rounded_to_bfloat(context, A), right = rounded_to_bfloat(context, H);
      return detail::quadratic_sum(context, A, [&](Index first, Index count, Index b, MatrixView<S> P) {
        gemm(context, Transpose::No, Transpose::No, left.view().middle_cols(first, count),
             right.view().block(first, b, count, P.cols), false, P);
      });
    }
  }
  return detail::quadratic_sum(context, A, [&](Index first, Index count, Index b, MatrixView<S> P) {
    gemm(context, Transpose::No, Transpose::No, S(1), A.middle_cols(first, count), H.block(first, b, count, P.cols),
         S(0), P);
  });
}

/// The same, to the last bit, of a matrix that may be spilled: its blocks are brought in as they are used.
template <class S, class Backend>
double quadratic_form(const Context<Backend>& context, MatrixView<const S> A, const SpillableMatrix<S, Backend>& H,
                      ProductType products = ProductType::Float) {
  if (H.all_resident()) return quadratic_form(context, A, H.whole().view(), products);
  typename Backend::template Matrix<S> room;
  if constexpr (may_round<S, Backend>) {
    if (products == ProductType::BFloat16) {
      const auto left = rounded_to_bfloat(context, A);
      return detail::quadratic_sum(context, A, [&](Index first, Index count, Index b, MatrixView<S> P) {
        const auto right = rounded_to_bfloat(context, H.block(first, b, count, P.cols, room));
        gemm(context, Transpose::No, Transpose::No, left.view().middle_cols(first, count), right.view(), false, P);
      });
    }
  }
  return detail::quadratic_sum(context, A, [&](Index first, Index count, Index b, MatrixView<S> P) {
    gemm(context, Transpose::No, Transpose::No, S(1), A.middle_cols(first, count),
         H.block(first, b, count, P.cols, room), S(0), P);
  });
}

/// tr((Q − W) H (Q − W)ᵀ): with H = XᵀX the squared output error ‖X (Q − W)ᵀ‖². Q, W [out, in], H [in, in].
/// H: a matrix, a view, or a SpillableMatrix.
template <class S, class Backend, class Moments>
double quadratic_error(const Context<Backend>& context, MatrixView<const S> Q, detail::ViewOf<S> W, const Moments& H) {
  auto difference = context.copy(Q);
  add_scaled(context, difference.view(), S(-1), W);
  return quadratic_form(context, std::as_const(difference).view(), H);
}

/// ‖Q − W‖².
template <class S, class Backend>
double squared_distance(const Context<Backend>& context, MatrixView<const S> Q, detail::ViewOf<S> W) {
  auto difference = context.copy(Q);
  add_scaled(context, difference.view(), S(-1), W);
  return inner_product(context, std::as_const(difference).view(), std::as_const(difference).view());
}

/// error / reference, and 0 where both are 0 (a matrix of zeros, inputs that are all zero).
inline double relative_error(double error, double reference) {
  return error == 0 && reference == 0 ? 0 : error / reference;
}

/// tr((Q − W) H (Q − W)ᵀ) / tr(W H Wᵀ). H as of quadratic_error.
template <class S, class Backend, class Moments>
double relative_output_error(const Context<Backend>& context, MatrixView<const S> Q, detail::ViewOf<S> W,
                             const Moments& H) {
  return relative_error(quadratic_error(context, Q, W, H), quadratic_form(context, W, H));
}

}  // namespace halftone
