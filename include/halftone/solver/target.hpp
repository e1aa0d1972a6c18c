// What a solve aims at.
//
//   symmetric   ‖X Wᵀ − X Qᵀ‖²          GPTQ: the layer's output on the inputs that the quantised stream delivers
//   alpha       ‖X_fp Wᵀ − X Qᵀ‖²       GPTQv2 / GPTAQ (arXiv 2504.02692): the output of the full-precision model,
//                                       by a second update in the column loop
//   shift       the same, exactly       ours: the weights move to the optimum first, then any solver runs
//
// W [out, in], H = XᵀX, D = (X_fp − X)ᵀX (row: deviating channel), Hd = H + λI, Hd⁻¹ = Uᵀ U in solving order.
#pragma once

#include <utility>  // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/core/options.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/factored_moments.hpp"

namespace halftone {

enum class Target : std::int32_t { Symmetric = 0, Alpha = 1, Shift = 2 };
template <>
struct EnumWords<Target> {
  static constexpr std::string_view values[] = {"symmetric", "alpha", "shift"};
};

struct TargetOptions {
  Target target = Target::Symmetric;
  double alpha = 0.25;
  double beta = 1;
  SecondMode second = SecondMode::Reference;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(choice("target", self.target, "symmetric: GPTQ's; alpha: GPTQv2's second update; shift: the exact target"));
    visit(real("alpha", self.alpha, 0, 1, "α of GPTQv2's second update (0.25 in its code, 1 in its paper)"));
    visit(real("beta", self.beta, 0, 1, "β of the exact target: 1 all the way, less pulls back to the weights"));
    visit(choice("second", self.second,
                 "columns that GPTQv2's update multiplies: reference (its code), pre (its paper)"));
  }
};

/// D · scale in solving order on both axes, columns of dead inputs zero. [in, in]
template <class S, class Backend>
typename Backend::template Matrix<S> ordered_cross_moments(const FactoredMoments<S, Backend>& moments) {
  const auto& context = moments.statistics->context();
  auto D = context.template allocate<S>(moments.width(), moments.width());
  gather_square(context, moments.statistics->cross_moments().view(), moments.order.data(), moments.diagonal.dead.data(),
                static_cast<S>(moments.scale), D.view());
  return D;
}

/// P = α · strict_upper(D Uᵀ) · U, strictly upper (GPTQv2, equation 15: row j holds D[j, j+1:] · Hd[j+1:, j+1:]⁻¹).
/// D and U [in, in] in solving order, U the factor of the same scale. Both products are of triangles: 2/3 in³ flops.
/// Blocks of columns J: T[:J.end, J] = D[:J.end, J.begin:] U[J, J.begin:]ᵀ, then P[I, J] = T[I, I.begin:J.end] U[…, J].
template <class S, class Backend>
typename Backend::template Matrix<S> second_update_matrix(const Context<Backend>& context, MatrixView<const S> D,
                                                          MatrixView<const S> U, S alpha) {
  constexpr Index side = 512;
  const Index n = D.rows;
  auto T = context.template allocate<S>(n, n);
  auto P = context.template allocate<S>(n, n);
  set_zero(context, T.view());
  set_zero(context, P.view());
  for (Index j = 0; j < n; j += side) {
    const Index width = std::min(side, n - j), end = j + width;
    gemm(context, Transpose::No, Transpose::Yes, alpha, D.block(0, j, end, n - j), U.block(j, j, width, n - j), S(0),
         T.view().block(0, j, end, width));
    clear_lower(context, T.view().block(j, j, width, width));
    for (Index i = 0; i < end; i += side) {
      const Index height = std::min(side, n - i);
      gemm(context, Transpose::No, Transpose::No, S(1), std::as_const(T).view().block(i, i, height, end - i),
           U.block(i, j, end - i, width), S(0), P.view().block(i, j, height, width));
    }
  }
  return P;
}

/// The exact asymmetric target W* = W + β · W D Hd⁻¹ (ours; derivation in docs/methods.md). For every Q
///   ‖X_fp Wᵀ − X Qᵀ‖² + λ‖Q − W‖² = tr((Q − W*) Hd (Q − W*)ᵀ) + const       (β = 1),
/// so a solver that gets W* solves the asymmetric problem. W [out, in] in original order and out of it; Hd⁻¹ is applied
/// as Uᵀ U. Two products of out · in² multiply-adds beside W D. Where H was not factored W comes back.
template <class S, class Backend>
typename Backend::template Matrix<S> shifted_weights(const FactoredMoments<S, Backend>& moments, MatrixView<const S> W,
                                                     S beta) {
  const auto& context = moments.statistics->context();
  auto values = context.upload(W);
  if (!moments.factored) return values;
  const auto D = ordered_cross_moments(moments);
  const auto ordered = reordered(context, values, moments.order);
  auto product = context.template allocate<S>(W.rows, W.cols), half = context.template allocate<S>(W.rows, W.cols);
  gemm(context, Transpose::No, Transpose::No, S(1), ordered.view(), D.view(), S(0), product.view());
  gemm(context, Transpose::No, Transpose::Yes, S(1), std::as_const(product).view(), moments.factor.view(), S(0),
       half.view());
  gemm(context, Transpose::No, Transpose::No, beta, std::as_const(half).view(), moments.factor.view(), S(0),
       product.view());
  add_scaled(context, values.view(), S(1), reordered(context, product, inverse_order(moments.order)).view());
  return values;
}

}  // namespace halftone
