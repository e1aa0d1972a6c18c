// From the second moments of a stage to the factor that error diffusion runs on:
//
//   Hd = H + λI,  λ = damping · mean(diag H),  Hd⁻¹ = Uᵀ U     (GPTQ, arXiv 2210.17323, section 3.3, steps 2 and 3)
//
// in the order in which the columns are solved. U comes from one reversed Cholesky factorisation instead of the paper's
// Cholesky, inverse, Cholesky: the same U, half the flops (2/3 n³), smaller errors.
#pragma once

#include <algorithm>  // min, max
#include <cmath>      // ilogb, ldexp
#include <utility>    // as_const
#include <vector>

#include "halftone/quant/quantized_matrix.hpp"
#include "halftone/quant/statistics.hpp"
#include "halftone/solver/column_order.hpp"
#include "halftone/solver/input_diagonal.hpp"

namespace halftone {

/// The damping ladder: where the factorisation fails, damping is doubled, from 0.001 at least, up to 1.
constexpr double next_damping(double damping) { return std::min(1.0, std::max(2 * damping, 0.001)); }

/// What a solver derives once from a stage's statistics and uses for each of its matrices.
template <class S, class Backend>
struct FactoredMoments {
  using BackendMatrix = typename Backend::template Matrix<S>;

  const InputStatistics<S, Backend>* statistics = nullptr;  ///< must live as long as this
  InputDiagonal diagonal;
  std::vector<std::int32_t> order;  ///< position -> column
  BackendMatrix importance;         ///< [1, in] diag(H) by original column: the weights of GridSearch::Hessian
  BackendMatrix factor;             ///< inverse_factor of Hd · scale [in, in] in solving order; the identity if not
                                    ///< factored
  Index panel = one_panel;          ///< columns of its panels; one: it is U
  bool factored = false;            ///< false: no damping up to 1 helped, weights can only be rounded
  double scale = 1;                 ///< power of two that brings mean(diag H) near 1: H's own scale changes no bit
  SolveReport report;               ///< damping, dead columns, tokens, notes

  Index width() const { return statistics->width(); }
  double lambda() const { return report.damping * diagonal.mean; }
};

namespace detail {

/// (H + damping · mean · I) · scale in the precision T, columns in `order`. Dead columns are decoupled: off-diagonal 0,
/// diagonal 1 (in units of the mean, so that scaling H changes nothing, where the GPTQ code puts a plain 1). On and
/// above the diagonal.
template <class T, class S, class Backend>
typename Backend::template Matrix<T> damped_system(const FactoredMoments<S, Backend>& moments,
                                                   const std::vector<std::int32_t>& order, double damping) {
  const auto& context = moments.statistics->context();
  const double added = damping * moments.diagonal.mean * moments.scale;
  std::vector<double> diagonal = moments.diagonal.values;
  for (std::size_t i = 0; i < diagonal.size(); ++i)
    diagonal[i] = moments.diagonal.dead[i] != 0 ? 1 + added : diagonal[i] * moments.scale + added;
  auto system = context.template allocate<T>(moments.width(), moments.width());
  moments.statistics->second_sums().each_strip([&](Index first, MatrixView<const S> H) {
    gather_system(context, H, first, order.data(), moments.diagonal.dead.data(), diagonal.data(), moments.scale,
                  system.view());
  });
  return system;
}

/// Factors Hd in the precision T; empty if a pivot fails.
template <class T, class S, class Backend>
typename Backend::template Matrix<S> factor_once(const FactoredMoments<S, Backend>& moments, double damping) {
  const auto& context = moments.statistics->context();
  auto U = damped_system<T>(moments, moments.order, damping);
  if (inverse_factor(context, U.view(), moments.panel) >= 0) return {};
  if constexpr (std::is_same_v<T, S>) {
    return U;
  } else {
    auto rounded = context.template allocate<S>(U.rows(), U.cols());
    convert(context, std::as_const(U).view(), rounded.view());
    if (find_nonfinite(context, std::as_const(rounded).view())) return {};
    return rounded;
  }
}

/// Climbs the ladder: each rung in S, then in double. Sets factor, factored and report.
template <class S, class Backend>
void factor_with_ladder(FactoredMoments<S, Backend>& moments, double damping) {
  SolveReport& report = moments.report;
  for (report.damping = damping;; report.damping = next_damping(report.damping), ++report.damping_steps) {
    moments.factor = factor_once<S>(moments, report.damping);
    if (moments.factor.empty() && !std::is_same_v<S, double>) {
      moments.factor = factor_once<double>(moments, report.damping);
      if (!moments.factor.empty()) report.notes.push_back("the factorisation needed double precision");
    }
    moments.factored = !moments.factor.empty();
    if (moments.factored || report.damping >= 1) break;
  }
  if (moments.factored && report.damping_steps > 0)
    report.notes.push_back(
        concat("damping raised from ", damping, " to ", report.damping, ": H was not positive definite"));
  if (moments.factored) return;
  report.notes.push_back("NOT SOLVED: H could not be factored with any damping up to 1; the weights are only rounded");
  auto& U = moments.factor = moments.statistics->context().template allocate<S>(moments.width(), moments.width());
  set_identity(moments.statistics->context(), U.view());  // diffuses nothing
}

}  // namespace detail

/// Hd · scale [in, in] in the original order of columns, both triangles: what refinement lowers its objective under.
template <class S, class Backend>
typename Backend::template Matrix<S> damped_moments(const FactoredMoments<S, Backend>& moments) {
  auto damped = detail::damped_system<S>(moments, natural_order(moments.width()), moments.report.damping);
  mirror_upper(moments.statistics->context(), damped.view());
  return damped;
}

/// All but the factor: what a stage's matrices share where each is factored in an order of its own.
template <class S, class Backend>
FactoredMoments<S, Backend> unfactored_moments(const InputStatistics<S, Backend>& statistics, InputDiagonal diagonal,
                                               std::vector<std::int32_t> order) {
  const auto& context = statistics.context();
  const Index width = statistics.width();
  FactoredMoments<S, Backend> moments{&statistics, std::move(diagonal), std::move(order), {}, {}, one_panel, false, 1,
                                      {}};
  SolveReport& report = moments.report;
  report.tokens = statistics.tokens();
  report.dead_columns = moments.diagonal.dead_columns;
  if (moments.diagonal.mean > 0) moments.scale = std::ldexp(1.0, -std::ilogb(moments.diagonal.mean));
  const std::vector<S> importance(moments.diagonal.values.begin(), moments.diagonal.values.end());
  moments.importance = context.upload(MatrixView<const S>(importance.data(), 1, width));
  if (report.tokens < width)
    report.notes.push_back(concat(report.tokens, " tokens for ", width, " inputs: H is singular without damping"));
  if (moments.diagonal.mean == 0) report.notes.push_back("every input is zero in every token: all weights became zero");
  return moments;
}

/// Damps and factors H with its columns in `order`; `panel` as of inverse_factor.
template <class S, class Backend>
FactoredMoments<S, Backend> factor_moments(const InputStatistics<S, Backend>& statistics, InputDiagonal diagonal,
                                           std::vector<std::int32_t> order, double damping, Index panel = one_panel) {
  auto moments = unfactored_moments(statistics, std::move(diagonal), std::move(order));
  moments.panel = panel;
  detail::factor_with_ladder(moments, damping);
  if (moments.lambda() > moments.diagonal.median)
    moments.report.notes.push_back(
        concat("damping is ", moments.lambda() / moments.diagonal.median, " times the median of diag(H): a few ",
               "loud inputs set it, the weights of the others are little more than rounded"));
  return moments;
}

}  // namespace halftone
