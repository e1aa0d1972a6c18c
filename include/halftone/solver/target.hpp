// What a solve aims at.
//
//   symmetric   ‖X Wᵀ − X Qᵀ‖²          GPTQ: the layer's output on the inputs that the quantised stream delivers
//   alpha       ‖X_fp Wᵀ − X Qᵀ‖²       GPTQv2 / GPTAQ (arXiv 2504.02692): the output of the full-precision model,
//                                       by a second update in the column loop
//   shift       the same, exactly       ours: the weights move to the optimum first, then any solver runs
//
// W [out, in], H = XᵀX, D = (X_fp − X)ᵀX (row: deviating channel), Hd = H + λI, Hd⁻¹ = Uᵀ U in solving order.
#pragma once

#include <algorithm>  // clamp
#include <utility>    // as_const
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/spillable_matrix.hpp"
#include "halftone/core/options.hpp"
#include "halftone/quant/metrics.hpp"
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
  RealOrAuto alpha = 0.25;
  RealOrAuto beta = 1;
  SecondMode second = SecondMode::Pre;
  bool fallback = true;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(choice("target", self.target, "symmetric: GPTQ's; alpha: GPTQv2's second update; shift: the exact target"));
    visit(real_or_auto("alpha", self.alpha, 0, 1,
                       "α of GPTQv2's second update (0.25 in its code, 1 in its paper); auto: by held-out windows"));
    visit(real_or_auto("beta", self.beta, 0, 1,
                       "β of the exact target: 1 all the way, less pulls back to the weights; auto: as for alpha"));
    visit(choice("second", self.second,
                 "columns that GPTQv2's update multiplies: pre (its paper's), reference (its code's)"));
    visit(flag("fallback", self.fallback, "where an asymmetric target ends worse by its own objective, solve without"));
  }

  /// α or β, by the target; 0 for the symmetric one.
  RealOrAuto strength() const {
    return target == Target::Symmetric ? RealOrAuto(0.0) : target == Target::Alpha ? alpha : beta;
  }
};

/// D · scale in solving order on both axes, columns of dead inputs zero. D [in, in] by original column; [in, in]
template <class S, class Backend>
typename Backend::template Matrix<S> ordered_cross_moments(const FactoredMoments<S, Backend>& moments,
                                                           const SpillableMatrix<S, Backend>& D) {
  const auto& context = moments.statistics->context();
  auto ordered = context.template allocate<S>(moments.width(), moments.width());
  D.each_strip([&](Index first, MatrixView<const S> rows) {
    gather_square(context, rows, first, moments.order.data(), moments.diagonal.dead.data(),
                  static_cast<S>(moments.scale), ordered.view());
  });
  return ordered;
}
template <class S, class Backend>
typename Backend::template Matrix<S> ordered_cross_moments(const FactoredMoments<S, Backend>& moments) {
  return ordered_cross_moments(moments, moments.statistics->cross_sums());
}

/// W D [out, in]; strips of D that are brought in are added up in their order.
template <class S, class Backend>
typename Backend::template Matrix<S> times_cross_sums(const Context<Backend>& context, MatrixView<const S> W,
                                                      const SpillableMatrix<S, Backend>& D) {
  auto product = context.template allocate<S>(W.rows, D.cols());
  D.each_strip([&](Index first, MatrixView<const S> rows) {
    gemm(context, Transpose::No, Transpose::No, S(1), W.middle_cols(first, rows.rows), rows, S(first > 0),
         product.view());
  });
  return product;
}

/// D over the tokens that were not held out, as large as D over all of them. [in, in]
template <class S, class Backend>
SpillableMatrix<S, Backend> learnt_cross_sums(const InputStatistics<S, Backend>& statistics) {
  const auto& context = statistics.context();
  const InputStatistics<S, Backend>& held_out = *statistics.held_out();
  const double tokens = static_cast<double>(statistics.tokens()),
               grown = tokens / (tokens - static_cast<double>(held_out.tokens()));
  auto D = context.template allocate<S>(statistics.width(), statistics.width());
  set_zero(context, D.view());
  const auto add = [&](double factor, const SpillableMatrix<S, Backend>& sums) {
    sums.each_strip([&](Index first, MatrixView<const S> rows) {
      add_scaled(context, D.view().middle_rows(first, rows.rows), static_cast<S>(factor), rows);
    });
  };
  add(grown, statistics.cross_sums());
  add(-grown, held_out.cross_sums());
  return {context, std::move(D)};
}

/// The α or β that the held-out tokens ask for. Moving the weights W by s · M, M made of the other tokens alone,
/// changes the asymmetric objective over the held-out ones by s² tr(M H Mᵀ) − 2 s tr(W D Mᵀ), H and D theirs: the
/// minimum, kept to 0 .. 1. Rounding adds errors that do not depend on s, to first order. W, M [out, in].
template <class S, class Backend>
double held_out_strength(const Context<Backend>& context, MatrixView<const S> W, MatrixView<const S> M,
                         const InputStatistics<S, Backend>& held_out) {
  const auto product = times_cross_sums(context, W, held_out.cross_sums());
  const double gain = inner_product(context, product.view(), M);
  const double cost = quadratic_form(context, M, held_out.second_sums());
  return cost > 0 ? std::clamp(gain / cost, 0.0, 1.0) : 0.0;
}

/// ‖X_fp Wᵀ − X Qᵀ‖² less its part that Q does not change: tr((Q−W) H (Q−W)ᵀ) − 2 tr(W D (Q−W)ᵀ). Of W itself: 0.
template <class S, class Backend>
double asymmetric_objective(const InputStatistics<S, Backend>& statistics, MatrixView<const S> W,
                            MatrixView<const S> Q) {
  const auto& context = statistics.context();
  auto moved = context.copy(Q);
  add_scaled(context, moved.view(), S(-1), W);
  const auto product = times_cross_sums(context, W, statistics.cross_sums());
  const auto difference = std::as_const(moved).view();
  return quadratic_form(context, difference, statistics.second_sums()) -
         2 * inner_product(context, product.view(), difference);
}

/// T = strict_upper(D Uᵀ), of which GPTQv2's P = α·T·U (equation 15: row j holds D[j, j+1:] · Hd[j+1:, j+1:]⁻¹). D and
/// U [in, in] in solving order, U the factor of H · scale. A triangle of a triangular product, in³/3 flops, by blocks
/// of columns J: T[:J.end, J] = D[:J.end, J.begin:] U[J, J.begin:]ᵀ.
template <class S, class Backend>
typename Backend::template Matrix<S> second_update_matrix(const Context<Backend>& context,
                                                          const SpillableMatrix<S, Backend>& D, MatrixView<const S> U,
                                                          std::type_identity_t<S> scale = 1) {
  constexpr Index side = 256;
  const Index n = D.rows();
  auto T = context.template allocate<S>(n, n);
  D.each_strip([&](Index first, MatrixView<const S> strip) {
    for (Index j = 0; j < n; j += side) {
      const Index width = std::min(side, n - j), rows = std::min(first + strip.rows, j + width) - first;
      if (rows <= 0) continue;  // below the diagonal
      gemm(context, Transpose::No, Transpose::Yes, scale, strip.block(0, j, rows, n - j), U.block(j, j, width, n - j),
           S(0), T.view().block(first, j, rows, width));
    }
  });
  clear_lower(context, T.view());
  return T;
}

/// The same of a factor in panels, U in them and R = U⁻¹ above (inverse_factor): T Rᵀ = D by substitution, as many
/// flops. By panels J, the last one first: T[:J.end, J] = (D[:J.end, J] − T[:J.end, J.end:] R[J, J.end:]ᵀ) U[J, J]ᵀ.
template <class S, class Backend>
typename Backend::template Matrix<S> second_update_by_panels(const Context<Backend>& context,
                                                             const SpillableMatrix<S, Backend>& D,
                                                             MatrixView<const S> factor, Index panel,
                                                             std::type_identity_t<S> scale = 1) {
  const Index n = D.rows();
  auto T = context.template allocate<S>(n, n);
  D.each_strip([&](Index first, MatrixView<const S> strip) {
    for (Index j = (n - 1) / panel * panel; j >= 0; j -= panel) {
      const Index width = std::min(panel, n - j), end = j + width, rows = std::min(first + strip.rows, end) - first;
      if (rows <= 0) break;  // below the diagonal, as are all before
      auto left = context.copy(strip.block(0, j, rows, width));
      if (end < n)
        gemm(context, Transpose::No, Transpose::Yes, S(-1) / scale,
             std::as_const(T).view().block(first, end, rows, n - end), factor.block(j, end, width, n - end), S(1),
             left.view());
      gemm(context, Transpose::No, Transpose::Yes, scale, std::as_const(left).view(), factor.block(j, j, width, width),
           S(0), T.view().block(first, j, rows, width));
    }
  });
  clear_lower(context, T.view());
  return T;
}

/// The same from D by original column. Where that is the solving order and every input alive no copy is made.
template <class S, class Backend>
typename Backend::template Matrix<S> second_update_matrix(const FactoredMoments<S, Backend>& moments,
                                                          const SpillableMatrix<S, Backend>& D) {
  const auto& context = moments.statistics->context();
  const auto of = [&](const SpillableMatrix<S, Backend>& ordered, double scale) {
    const MatrixView<const S> factor = moments.factor.view();
    if (moments.panel < moments.width())
      return second_update_by_panels(context, ordered, factor, moments.panel, static_cast<S>(scale));
    return second_update_matrix(context, ordered, factor, static_cast<S>(scale));
  };
  if (moments.report.dead_columns == 0 && moments.order == natural_order(moments.width())) return of(D, moments.scale);
  return of({context, ordered_cross_moments(moments, D)}, 1);
}

/// W D Hd⁻¹ [out, in], the whole way to the exact target (below). W [out, in] and D [in, in] by original column; Hd⁻¹
/// is applied as Uᵀ U. Two products of out · in² multiply-adds beside W D. Zero where H was not factored.
template <class S, class Backend>
typename Backend::template Matrix<S> shift_of_weights(const FactoredMoments<S, Backend>& moments, MatrixView<const S> W,
                                                      const SpillableMatrix<S, Backend>& D) {
  const auto& context = moments.statistics->context();
  auto product = context.template allocate<S>(W.rows, W.cols);
  set_zero(context, product.view());
  if (!moments.factored) return product;
  const auto ordered_D = ordered_cross_moments(moments, D);
  const auto ordered = reordered(context, context.copy(W), moments.order);
  auto half = context.template allocate<S>(W.rows, W.cols);
  gemm(context, Transpose::No, Transpose::No, S(1), ordered.view(), ordered_D.view(), S(0), product.view());
  gemm(context, Transpose::No, Transpose::Yes, S(1), std::as_const(product).view(), moments.factor.view(), S(0),
       half.view());
  gemm(context, Transpose::No, Transpose::No, S(1), std::as_const(half).view(), moments.factor.view(), S(0),
       product.view());
  return reordered(context, product, inverse_order(moments.order));
}

/// The exact asymmetric target W* = W + β · W D Hd⁻¹ (ours; derivation in docs/methods.md). For every Q
///   ‖X_fp Wᵀ − X Qᵀ‖² + λ‖Q − W‖² = tr((Q − W*) Hd (Q − W*)ᵀ) + const       (β = 1),
/// so a solver that gets W* solves the asymmetric problem. W [out, in] in original order and out of it.
template <class S, class Backend>
typename Backend::template Matrix<S> shifted_weights(const FactoredMoments<S, Backend>& moments, MatrixView<const S> W,
                                                     S beta) {
  const auto& context = moments.statistics->context();
  auto values = context.copy(W);
  const auto shift = shift_of_weights(moments, W, moments.statistics->cross_sums());
  add_scaled(context, values.view(), beta, shift.view());
  return values;
}

}  // namespace halftone
