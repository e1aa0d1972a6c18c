// Bodies of diffusion_solver.hpp.
#pragma once

#include <algorithm>  // copy_n, find_if, sort

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

template <class Scalar, class Backend>
DiffusionSolver<Scalar, Backend>::DiffusionSolver(const Context<Backend>& context, std::string_view name,
                                                  const DiffusionOptions& options)
    : context_(&context), name_(name), options_(options) {
  validate_options(name, options_);
  check_grid(name, options_.grid);
  if (!binary_coded()) return;
  require(!options_.grid.symmetric, Status::InvalidArgument, name,
          ": option 'sym' is true with binary coding, which has a bias a group; wanted false");
  candidates_.emplace(name, options_.grid, options_.binary);
}

template <class Scalar, class Backend>
auto DiffusionSolver<Scalar, Backend>::prepare(const InputStatistics<Scalar, Backend>& statistics) const -> Prepared {
  InputDiagonal diagonal = input_diagonal(name_, statistics);
  auto order = act_order() ? descending_order(diagonal.values) : natural_order(statistics.width());
  if (own_orders(statistics.width()))
    return {unfactored_moments(statistics, std::move(diagonal), std::move(order)), {}, {}, {}};
  return prepare_order(statistics, std::move(diagonal), std::move(order));
}

template <class Scalar, class Backend>
DiffusionPlan DiffusionSolver<Scalar, Backend>::diffusion_plan(Index cols) const {
  return {cols - outlier_columns(cols), options_.block_size, options_.groups, grid().group_columns(cols)};
}

/// True if all of U is needed, not its panels alone: to move the weights to the exact target, to choose α, to refine
/// towards what α aims at, and where the second update reaches other columns than it was solved with.
template <class Scalar, class Backend>
bool DiffusionSolver<Scalar, Backend>::multiplies_with_U() const {
  const TargetOptions& target = options_.target;
  if (target.target == Target::Symmetric) return false;
  return target.target == Target::Shift || target.second != SecondMode::Pre || target.alpha.automatic ||
         options_.refine.refine > 0;
}

template <class Scalar, class Backend>
auto DiffusionSolver<Scalar, Backend>::prepare_order(const InputStatistics<Scalar, Backend>& statistics,
                                                     InputDiagonal diagonal, std::vector<std::int32_t> order) const
    -> Prepared {
  const Index panel = multiplies_with_U() ? one_panel : diffusion_plan(statistics.width()).panel_columns();
  Prepared prepared{
      factor_moments(statistics, std::move(diagonal), std::move(order), options_.damping, panel), {}, {}, {}};
  if (options_.target.target == Target::Alpha && prepared.factored) {
    prepared.T = second_update_matrix(prepared, statistics.cross_sums());
    if (options_.target.alpha.automatic && statistics.held_out() != nullptr)
      prepared.learnt = second_update_matrix(prepared, learnt_cross_sums(statistics));
  }
  if (options_.refine.refine > 0 && prepared.factored) prepared.damped = damped_moments(prepared);
  return prepared;
}

template <class Scalar, class Backend>
auto DiffusionSolver<Scalar, Backend>::aimed_at(MatrixView<const Scalar> W, const Prepared& moments, double beta) const
    -> BackendMatrix {
  auto values = beta == 0 ? context_->copy(W) : shifted_weights(moments, W, static_cast<Scalar>(beta));
  if (moments.report.dead_columns > 0) clear_columns(*context_, values.view(), moments.diagonal.dead.data());
  return values;
}

template <class Scalar, class Backend>
double DiffusionSolver<Scalar, Backend>::strength_for(MatrixView<const Scalar> W, const Prepared& moments) const {
  const Context<Backend>& context = *context_;
  const RealOrAuto asked = options_.target.strength();
  if (!asked.automatic) return asked.value;
  const InputStatistics<Scalar, Backend>* held_out = moments.statistics->held_out();
  if (held_out == nullptr || !moments.factored) return 0;
  if (options_.target.target == Target::Shift) {
    const auto M = shift_of_weights(moments, W, learnt_cross_sums(*moments.statistics));
    return held_out_strength(context, W, std::as_const(M).view(), *held_out);
  }
  // Without rounding the second update takes W to W (I − α P)⁻¹, to first order W + α W P.
  auto M = context.template allocate<Scalar>(W.rows, W.cols), half = context.template allocate<Scalar>(W.rows, W.cols);
  const auto ordered = reordered(context, context.copy(W), moments.order);
  gemm(context, Transpose::No, Transpose::No, Scalar(1), ordered.view(), moments.learnt.view(), Scalar(0), half.view());
  gemm(context, Transpose::No, Transpose::No, Scalar(1), std::as_const(half).view(), moments.factor.view(), Scalar(0),
       M.view());
  M = reordered(context, M, inverse_order(moments.order));
  return held_out_strength(context, W, std::as_const(M).view(), *held_out);
}

template <class Scalar, class Backend>
auto DiffusionSolver<Scalar, Backend>::own_order(MatrixView<const Scalar> W, const Prepared& prepared) const
    -> Prepared {
  BackendMatrix cleared;
  if (prepared.report.dead_columns > 0) cleared = aimed_at(W, prepared, 0);
  const std::vector<double> sensitivities =
      column_sensitivities(*context_, grid(), cleared.empty() ? W : std::as_const(cleared).view(),
                           prepared.diagonal.values, prepared.importance.data());
  const bool by_sensitivity = act_order() && options_.order_key == OrderKey::Sensitivity;
  const auto order = by_sensitivity ? descending_order(sensitivities) : prepared.order;
  return prepare_order(*prepared.statistics, prepared.diagonal,
                       order_with_outliers(order, sensitivities, outlier_columns(W.cols)));
}

template <class Scalar, class Backend>
template <class Grids>
void DiffusionSolver<Scalar, Backend>::fit_static(Grids& grids, MatrixView<const Scalar> W, const Prepared& moments,
                                                  Index rounded) const {
  if (rounded == W.cols) return grids.fit_all(*context_, W, moments.importance.data());
  std::vector<std::int32_t> columns(moments.order.begin(),
                                    moments.order.begin() + static_cast<std::ptrdiff_t>(rounded));
  std::sort(columns.begin(), columns.end());
  const Index width = grid().group_columns(W.cols);
  for (auto first = columns.begin(); first != columns.end();) {
    const Index group = *first / width;
    const auto last = std::find_if(first, columns.end(), [&](std::int32_t column) { return column / width != group; });
    const std::vector<std::int32_t> members(first, last);
    const auto size = static_cast<Index>(members.size());
    auto weights = context_->template allocate<Scalar>(W.rows, size),
         importance = context_->template allocate<Scalar>(1, size);
    gather_columns(*context_, W, members.data(), weights.view());
    gather_columns(*context_, moments.importance.view(), members.data(), importance.view());
    grids.fit(*context_, group, std::as_const(weights).view(), std::as_const(importance).data());
    first = last;
  }
}

template <class Scalar, class Backend>
template <class Grids>
auto DiffusionSolver<Scalar, Backend>::diffuse(Grids& grids, BackendMatrix values, const Prepared& moments,
                                               Index rounded, double strength) const -> Working {
  const Context<Backend>& context = *context_;
  const Index in = values.cols();
  const bool reorder = moments.order != natural_order(in);
  auto importance = context.copy(moments.importance.view());
  if (reorder) {
    values = reordered(context, values, moments.order);
    importance = reordered(context, importance, moments.order);
  }
  DiffusionPlan plan = diffusion_plan(in);
  plan.panel = moments.panel;
  const std::vector<std::int32_t> groups = groups_of_positions(plan, moments.order);

  Working working;
  working.codes = context.template allocate<std::uint8_t>(values.rows(), in);
  SecondTerm<Scalar> second{{}, options_.target.second, strength};
  if (options_.target.target == Target::Alpha && strength > 0) second.T = moments.T.view();
  working.loss =
      diffuse_errors(context, plan, moments.factor.view(), values.view(), grids, std::as_const(importance).data(),
                     groups.data(), working.codes.view(), second, moments.statistics->products());
  write_zero_codes(context, grids.cells(groups.data() + rounded),
                   working.codes.view().middle_cols(rounded, in - rounded));
  const std::vector<std::int32_t> position = inverse_order(moments.order);
  if (reorder) {
    values = reordered(context, values, position);
    working.codes = reordered(context, working.codes, position);
  }
  for (std::int32_t place : position) working.group_of_column.push_back(groups[static_cast<std::size_t>(place)]);
  working.values = std::move(values);
  return working;
}

template <class Scalar, class Backend>
template <class Grids>
RefineReport DiffusionSolver<Scalar, Backend>::refine_codes(Grids& grids, Working& working,
                                                            MatrixView<const Scalar> target, const Prepared& moments,
                                                            Index rounded) const {
  std::vector<std::uint8_t> kept(moments.order.size(), 0);
  for (std::size_t p = static_cast<std::size_t>(rounded); p < kept.size(); ++p)
    kept[static_cast<std::size_t>(moments.order[p])] = 1;
  const RefinedLayer<Scalar> layer{target,
                                   moments.damped.view(),
                                   working.values.view(),
                                   working.codes.view(),
                                   working.group_of_column,
                                   moments.order,
                                   kept,
                                   grid().scale_type};
  return refine(*context_, layer, grids, options_.refine);
}

template <class Scalar, class Backend>
OutlierColumns DiffusionSolver<Scalar, Backend>::take_outliers(const BackendMatrix& values, const Prepared& moments,
                                                               Index rounded) const {
  OutlierColumns outliers;
  outliers.columns.assign(moments.order.begin() + static_cast<std::ptrdiff_t>(rounded), moments.order.end());
  if (outliers.columns.empty()) return outliers;
  std::sort(outliers.columns.begin(), outliers.columns.end());
  outliers.dtype = dtype_of(grid().scale_type);
  auto gathered = context_->template allocate<Scalar>(values.rows(), static_cast<Index>(outliers.columns.size()));
  gather_columns(*context_, values.view(), outliers.columns.data(), gathered.view());
  const auto host = context_->download(std::as_const(gathered).view());
  outliers.values = Matrix<float>(host.rows(), host.cols());
  for (Index i = 0; i < host.size(); ++i)
    outliers.values.data()[i] = round_stored(static_cast<float>(host.data()[i]), grid().scale_type);
  return outliers;
}

template <class Scalar, class Backend>
QuantizedMatrix DiffusionSolver<Scalar, Backend>::quantize(MatrixView<const Scalar> W, const Prepared& prepared) const {
  const auto start = std::chrono::steady_clock::now();
  check_weights(name_, *context_, W, prepared.width());
  std::optional<Prepared> own;
  if (own_orders(W.cols)) own = own_order(W, prepared);
  const Prepared& moments = own ? *own : prepared;
  const double strength = strength_for(W, moments);
  const bool fallback = options_.target.fallback && moments.factored && strength > 0 && loses(W, moments, strength);
  QuantizedMatrix result = with_grids(W.rows, W.cols, [&](auto grids) {
    Working working = solve(grids, W, moments, fallback ? 0 : strength);
    return finished(grids, W, std::move(working), moments, fallback ? 0 : strength);
  });
  if (fallback)
    result.report.notes.push_back("fell back to the symmetric target: the asymmetric objective is lower there");
  result.report.seconds = seconds_since(start);
  return result;
}

template <class Scalar, class Backend>
template <class Use>
auto DiffusionSolver<Scalar, Backend>::with_grids(Index rows, Index cols, Use&& use) const {
  const Index groups = grid().groups(cols);
  if (binary_coded()) return use(BinaryGrids<Scalar, Backend>(*context_, *candidates_, grid(), rows, groups));
  return use(UniformGrids<Scalar, Backend>(*context_, grid(), rows, groups));
}

/// Looked up on at most 64 rows, spread over the matrix, which are solved for both targets: rows are solved one by one.
template <class Scalar, class Backend>
bool DiffusionSolver<Scalar, Backend>::loses(MatrixView<const Scalar> W, const Prepared& moments,
                                             double strength) const {
  const Context<Backend>& context = *context_;
  const Index step = (W.rows + 63) / 64;
  std::vector<std::int32_t> rows;
  for (Index r = 0; r < W.rows; r += step) rows.push_back(static_cast<std::int32_t>(r));
  auto sample = context.template allocate<Scalar>(static_cast<Index>(rows.size()), W.cols);
  gather_rows<Scalar>(context, W, rows.data(), sample.view());
  const auto weights = std::as_const(sample).view();
  const auto objective_with = [&](double tried) {
    return with_grids(weights.rows, weights.cols, [&](auto grids) {
      const Working working = solve(grids, weights, moments, tried);
      return asymmetric_objective<Scalar>(*moments.statistics, weights, working.values.view());
    });
  };
  return objective_with(strength) > objective_with(0);
}

template <class Scalar, class Backend>
template <class Grids>
auto DiffusionSolver<Scalar, Backend>::solve(Grids& grids, MatrixView<const Scalar> W, const Prepared& moments,
                                             double strength) const -> Working {
  const TargetOptions& target = options_.target;
  const Index rounded = W.cols - outlier_columns(W.cols);
  auto values = aimed_at(W, moments, target.target == Target::Shift ? strength : 0);
  if (options_.groups == GroupMode::Static) fit_static(grids, std::as_const(values).view(), moments, rounded);
  if (moments.damped.empty()) return diffuse(grids, std::move(values), moments, rounded, strength);

  // What refinement aims at; the second update's target is the shift by α.
  const BackendMatrix aim =
      target.target == Target::Alpha ? aimed_at(W, moments, strength) : context_->copy(std::as_const(values).view());
  Working working = diffuse(grids, std::move(values), moments, rounded, strength);
  working.refined = refine_codes(grids, working, aim.view(), moments, rounded);
  return working;
}

template <class Scalar, class Backend>
template <class Grids>
QuantizedMatrix DiffusionSolver<Scalar, Backend>::finished(const Grids& grids, MatrixView<const Scalar> W,
                                                           Working working, const Prepared& moments,
                                                           double strength) const {
  const TargetOptions& target = options_.target;
  QuantizedMatrix result;
  result.codes = context_->download(std::as_const(working.codes).view());
  result.grid = grids.stored(*context_, W.cols);
  result.outliers = take_outliers(working.values, moments, W.cols - outlier_columns(W.cols));
  if (group_index()) result.group_index = working.group_of_column;
  result.report = moments.report;
  result.report.strength = strength;
  result.report.refine_rounds = working.refined.rounds;
  if (working.refined.before > 0) result.report.refine_gain = 1 - working.refined.after / working.refined.before;
  const bool unmoved = strength == 0 || (target.target == Target::Alpha && target.second == SecondMode::Pre);
  const bool exact_loss = unmoved && moments.damped.empty();  // kept columns end at their optimum, their part is 0
  result.report.relative_error =
      error_of(W, std::move(working.values), moments, exact_loss ? std::optional(working.loss) : std::nullopt);
  return result;
}

/// tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ). Where the core started from the weights the numerator is its Σ e² less
/// the damping's part, and no product is needed; it is computed where that difference would cancel.
template <class Scalar, class Backend>
double DiffusionSolver<Scalar, Backend>::error_of(MatrixView<const Scalar> W, BackendMatrix values,
                                                  const Prepared& moments, std::optional<double> loss) const {
  const auto& H = moments.statistics->second_sums();
  const double reference = quadratic_form(*context_, W, H, moments.statistics->products());
  add_scaled(*context_, values.view(), Scalar(-1), W);
  if (moments.report.dead_columns > 0) clear_columns(*context_, values.view(), moments.diagonal.dead.data());
  const auto difference = std::as_const(values).view();
  if (loss && moments.factored) {
    const double damped = *loss / moments.scale;
    const double error = damped - moments.lambda() * inner_product(*context_, difference, difference);
    if (error > 0.01 * damped) return relative_error(error, reference);
  }
  return relative_error(quadratic_form(*context_, difference, H), reference);
}

}  // namespace halftone
