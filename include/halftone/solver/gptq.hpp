// GPTQ. Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
// Transformers", 2022, arXiv 2210.17323.
//
// Minimises ‖X Wᵀ − X Qᵀ‖² row by row: columns are rounded in a fixed order, and each one's error is compensated by the
// columns behind it, optimally under H = XᵀX. W [out, in], X [tokens, in], H [in, in], Hd = H + λI, Hd⁻¹ = UᵀU.
//
// Cost: 2/3·in³ flops for the factor (once a stage), 2·out·in²/2 for the updates, out·in² for the report's denominator.
// The same bytes for any number of threads. Departures from the published code, each at its line: one factorisation
// instead of three; dead columns relative to the mean and without a share in it; stable column order; scales rounded to
// their stored type before the solve; symmetric grids symmetric in every row; static groups as default.
#pragma once

#include "halftone/quant/grid_fit.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/factored_moments.hpp"
#include "halftone/solver/solver.hpp"

namespace halftone {

struct GptqOptions {
  GridOptions grid;
  double damping = 0.01;
  std::int64_t block_size = 128;
  bool act_order = false;
  GroupMode groups = GroupMode::Static;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    GridOptions::fields(self.grid, visit);
    visit(real("damping", self.damping, 0, 1,
               "λ / mean(diag H); `percdamp` of the GPTQ code (0.01 there, 0.05 in GPTQModel)"));
    visit(integer("block_size", self.block_size, 1, 65536, "columns between two updates of the rest of the matrix; B"));
    visit(flag("act_order", self.act_order, "solve columns by descending diag(H)"));
    visit(choice("groups", self.groups, "static: grids before the solve; fresh, reference: at a group's turn"));
  }
};

template <class Scalar, class Backend>
class GptqSolver {
 public:
  using Options = GptqOptions;
  using Prepared = FactoredMoments<Scalar, Backend>;
  static constexpr std::string_view name = "gptq";
  static constexpr std::string_view help = "columns one after the other, errors compensated by the columns behind";
  static constexpr std::string_view paper = "arXiv 2210.17323";

  /// Throws Status::InvalidArgument for options out of bounds. The context must outlive the solver.
  explicit GptqSolver(const Context<Backend>& context, GptqOptions options = {});

  const GptqOptions& options() const { return options_; }
  const GridOptions& grid() const { return options_.grid; }
  Moments moments() const { return Moments::Second; }
  bool act_order() const { return options_.act_order; }
  /// Groups of positions in a changed order: the result stores which column is in which.
  bool group_index() const { return act_order() && options_.groups != GroupMode::Static && grid().group_size > 0; }

  /// Order, damping and factor of a stage. `statistics` must outlive the result.
  Prepared prepare(const InputStatistics<Scalar, Backend>& statistics) const;
  /// W [out, in] in the backend's memory. Where nothing could be factored the weights are rounded and the report says
  /// so.
  QuantizedMatrix quantize(MatrixView<const Scalar> W, const Prepared& prepared) const;

 private:
  using BackendMatrix = typename Backend::template Matrix<Scalar>;
  double error_of(MatrixView<const Scalar> W, BackendMatrix values, const Prepared& prepared, double loss) const;

  const Context<Backend>* context_;
  GptqOptions options_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class Scalar, class Backend>
GptqSolver<Scalar, Backend>::GptqSolver(const Context<Backend>& context, GptqOptions options)
    : context_(&context), options_(options) {
  validate_options(name, options_);
  check_grid(name, options_.grid);
}

template <class Scalar, class Backend>
auto GptqSolver<Scalar, Backend>::prepare(const InputStatistics<Scalar, Backend>& statistics) const -> Prepared {
  InputDiagonal diagonal = input_diagonal(name, statistics);
  auto order = act_order() ? descending_order(diagonal.values) : natural_order(statistics.width());
  return factor_moments(statistics, std::move(diagonal), std::move(order), options_.damping);
}

template <class Scalar, class Backend>
QuantizedMatrix GptqSolver<Scalar, Backend>::quantize(MatrixView<const Scalar> W, const Prepared& prepared) const {
  const auto start = std::chrono::steady_clock::now();
  const Context<Backend>& context = *context_;
  const Index in = W.cols;
  check_weights(name, context, W, prepared.width());

  auto values = context.upload(W);
  if (prepared.report.dead_columns > 0) clear_columns(context, values.view(), prepared.diagonal.dead.data());
  UniformGrids<Scalar, Backend> grids(context, grid(), W.rows, grid().groups(in));
  if (options_.groups == GroupMode::Static)
    grids.fit_all(context, std::as_const(values).view(), prepared.importance.data());

  auto importance = context.upload(prepared.importance.view());
  if (act_order()) {
    values = reordered(context, values, prepared.order);
    importance = reordered(context, importance, prepared.order);
  }
  const DiffusionPlan plan{in, options_.block_size, options_.groups, grid().group_columns(in)};
  const std::vector<std::int32_t> groups = groups_of_positions(plan, prepared.order);
  auto codes = context.template allocate<std::uint8_t>(W.rows, in);
  const double loss = diffuse_errors(context, plan, prepared.factor.view(), values.view(), grids,
                                     std::as_const(importance).data(), groups.data(), codes.view());
  if (act_order()) {  // back to the original columns
    const std::vector<std::int32_t> position = inverse_order(prepared.order);
    values = reordered(context, values, position);
    codes = reordered(context, codes, position);
  }

  QuantizedMatrix result{context.download(std::as_const(codes).view()), grids.stored(context, in), {}, prepared.report};
  if (group_index())
    for (std::int32_t position : inverse_order(prepared.order))
      result.group_index.push_back(groups[static_cast<std::size_t>(position)]);
  result.report.relative_error = error_of(W, std::move(values), prepared, loss);
  result.report.seconds = seconds_since(start);
  return result;
}

/// tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ), H without damping. The solve has left loss = scale · tr((Q−W) (H + λI) (Q−W)ᵀ), so
/// that the numerator costs nothing; where λ makes up more than 99 % of it, the product is formed after all.
template <class Scalar, class Backend>
double GptqSolver<Scalar, Backend>::error_of(MatrixView<const Scalar> W, BackendMatrix values, const Prepared& prepared,
                                             double loss) const {
  const auto H = prepared.statistics->second_moments().view();
  const double reference = quadratic_form(*context_, W, H);
  add_scaled(*context_, values.view(), Scalar(-1), W);
  if (prepared.report.dead_columns > 0) clear_columns(*context_, values.view(), prepared.diagonal.dead.data());
  const auto difference = std::as_const(values).view();
  const double damped = loss / prepared.scale;
  const double error = damped - prepared.lambda() * inner_product(*context_, difference, difference);
  if (prepared.factored && error > 0.01 * damped) return relative_error(error, reference);
  return relative_error(quadratic_form(*context_, difference, H), reference);
}

}  // namespace halftone
