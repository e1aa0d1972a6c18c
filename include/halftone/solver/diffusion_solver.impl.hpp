// Bodies of diffusion_solver.hpp.
#pragma once

#include "halftone/solver/diffusion_solver.hpp"

namespace halftone {

template <class Scalar, class Backend, class Preset>
DiffusionSolver<Scalar, Backend, Preset>::DiffusionSolver(const Context<Backend>& context, Options options)
    : context_(&context), options_(options) {
  validate_options(name, options_);
  check_grid(name, options_.grid);
}

template <class Scalar, class Backend, class Preset>
auto DiffusionSolver<Scalar, Backend, Preset>::prepare(const InputStatistics<Scalar, Backend>& statistics) const
    -> Prepared {
  InputDiagonal diagonal = input_diagonal(name, statistics);
  auto order = act_order() ? descending_order(diagonal.values) : natural_order(statistics.width());
  return prepare_order(statistics, std::move(diagonal), std::move(order));
}

template <class Scalar, class Backend, class Preset>
auto DiffusionSolver<Scalar, Backend, Preset>::prepare_order(const InputStatistics<Scalar, Backend>& statistics,
                                                             InputDiagonal diagonal,
                                                             std::vector<std::int32_t> order) const -> Prepared {
  Prepared prepared{factor_moments(statistics, std::move(diagonal), std::move(order), options_.damping), {}};
  if (options_.target.target == Target::Alpha && prepared.factored) {
    const auto D = ordered_cross_moments(prepared);
    prepared.P = second_update_matrix(*context_, D.view(), std::as_const(prepared.factor).view(),
                                      static_cast<Scalar>(options_.target.alpha));
  }
  return prepared;
}

template <class Scalar, class Backend, class Preset>
auto DiffusionSolver<Scalar, Backend, Preset>::cleared(MatrixView<const Scalar> W, const Prepared& prepared) const
    -> BackendMatrix {
  auto values = context_->upload(W);
  if (prepared.report.dead_columns > 0) clear_columns(*context_, values.view(), prepared.diagonal.dead.data());
  return values;
}

template <class Scalar, class Backend, class Preset>
auto DiffusionSolver<Scalar, Backend, Preset>::own_order(MatrixView<const Scalar> W, const Prepared& prepared) const
    -> std::optional<Prepared> {
  const Index kept = outlier_columns(W.cols);
  const bool by_sensitivity = act_order() && options_.order_key == OrderKey::Sensitivity;
  if (kept == 0 && !by_sensitivity) return std::nullopt;
  const auto weights = cleared(W, prepared);
  const std::vector<double> sensitivities =
      column_sensitivities(*context_, grid(), weights.view(), prepared.diagonal.values, prepared.importance.data());
  const auto order = by_sensitivity ? descending_order(sensitivities) : prepared.order;
  return prepare_order(*prepared.statistics, prepared.diagonal, order_with_outliers(order, sensitivities, kept));
}

template <class Scalar, class Backend, class Preset>
void DiffusionSolver<Scalar, Backend, Preset>::fit_static(Grids& grids, MatrixView<const Scalar> W,
                                                          const Prepared& moments, Index rounded) const {
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

template <class Scalar, class Backend, class Preset>
double DiffusionSolver<Scalar, Backend, Preset>::diffuse(Grids& grids, BackendMatrix& values,
                                                         Matrix<std::uint8_t>& codes, std::vector<std::int32_t>& groups,
                                                         const Prepared& moments, Index rounded) const {
  const Context<Backend>& context = *context_;
  const Index in = values.cols();
  const bool reorder = moments.order != natural_order(in);
  auto importance = context.upload(moments.importance.view());
  if (reorder) {
    values = reordered(context, values, moments.order);
    importance = reordered(context, importance, moments.order);
  }
  const DiffusionPlan plan{rounded, options_.block_size, options_.groups, grid().group_columns(in)};
  groups = groups_of_positions(plan, moments.order);

  const SecondTerm<Scalar> second{moments.P.view(), options_.target.second};
  auto device_codes = context.template allocate<std::uint8_t>(values.rows(), in);
  const double loss = diffuse_errors(context, plan, moments.factor.view(), values.view(), grids,
                                     std::as_const(importance).data(), groups.data(), device_codes.view(), second);
  grids.write_zero_codes(context, groups.data(), rounded, device_codes.view());
  if (reorder) {
    const std::vector<std::int32_t> position = inverse_order(moments.order);
    values = reordered(context, values, position);
    device_codes = reordered(context, device_codes, position);
  }
  codes = context.download(std::as_const(device_codes).view());
  return loss;
}

template <class Scalar, class Backend, class Preset>
OutlierColumns DiffusionSolver<Scalar, Backend, Preset>::take_outliers(const BackendMatrix& values,
                                                                       const Prepared& moments, Index rounded) const {
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

template <class Scalar, class Backend, class Preset>
QuantizedMatrix DiffusionSolver<Scalar, Backend, Preset>::quantize(MatrixView<const Scalar> W,
                                                                   const Prepared& prepared) const {
  const auto start = std::chrono::steady_clock::now();
  const Context<Backend>& context = *context_;
  const Index in = W.cols;
  check_weights(name, context, W, prepared.width());

  const std::optional<Prepared> own = own_order(W, prepared);
  const Prepared& moments = own ? *own : prepared;
  const Index rounded = in - outlier_columns(in);
  const bool shift = options_.target.target == Target::Shift;
  auto values = shift ? shifted_weights(moments, W, static_cast<Scalar>(options_.target.beta)) : context.upload(W);
  if (moments.report.dead_columns > 0) clear_columns(context, values.view(), moments.diagonal.dead.data());
  Grids grids(context, grid(), W.rows, grid().groups(in));
  if (options_.groups == GroupMode::Static) fit_static(grids, std::as_const(values).view(), moments, rounded);

  QuantizedMatrix result;
  std::vector<std::int32_t> groups;
  const double loss = diffuse(grids, values, result.codes, groups, moments, rounded);
  result.outliers = take_outliers(values, moments, rounded);
  result.grid = grids.stored(context, in);
  result.report = moments.report;
  if (group_index())
    for (std::int32_t position : inverse_order(moments.order))
      result.group_index.push_back(groups[static_cast<std::size_t>(position)]);
  const bool exact_loss = options_.target.target == Target::Symmetric && rounded == in;
  result.report.relative_error =
      error_of(W, std::move(values), moments, exact_loss ? std::optional(loss) : std::nullopt);
  result.report.seconds = seconds_since(start);
  return result;
}

/// tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ). Where nothing but rounding moved the weights the numerator is the core's Σ e² less
/// the damping's part, and no product is needed; it is computed where that difference would cancel.
template <class Scalar, class Backend, class Preset>
double DiffusionSolver<Scalar, Backend, Preset>::error_of(MatrixView<const Scalar> W, BackendMatrix values,
                                                          const Prepared& moments, std::optional<double> loss) const {
  const auto H = moments.statistics->second_moments().view();
  const double reference = quadratic_form(*context_, W, H);
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
