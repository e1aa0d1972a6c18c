// A solver to copy: the smallest that diffuses errors, GPTQ (arXiv 2210.17323) without its choices.
// docs/adding_a_solver.md walks through it.
#pragma once

#include "halftone/quant/grid_fit.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/factored_moments.hpp"
#include "halftone/solver/solver.hpp"

namespace halftone {

struct SkeletonOptions {
  GridOptions grid;
  double damping = 0.01;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    GridOptions::fields(self.grid, visit);
    visit(real("damping", self.damping, 0, 1, "λ / mean(diag H)"));
  }
};

template <class Scalar, class Backend>
class SkeletonSolver {
 public:
  using Options = SkeletonOptions;
  using Prepared = FactoredMoments<Scalar, Backend>;
  static constexpr std::string_view name = "skeleton";
  static constexpr std::string_view help = "an example to copy";
  static constexpr std::string_view paper = "arXiv 2210.17323";

  explicit SkeletonSolver(const Context<Backend>& context, SkeletonOptions options = {})
      : context_(&context), options_(options) {
    validate_options(name, options_);
    check_grid(name, options_.grid);
  }

  const SkeletonOptions& options() const { return options_; }
  const GridOptions& grid() const { return options_.grid; }
  Moments moments() const { return Moments::Second; }

  Prepared prepare(const InputStatistics<Scalar, Backend>& statistics) const {
    return factor_moments(statistics, input_diagonal(name, statistics), natural_order(statistics.width()),
                          options_.damping);
  }

  QuantizedMatrix quantize(MatrixView<const Scalar> W, const Prepared& prepared) const {
    const auto start = std::chrono::steady_clock::now();
    check_weights(name, *context_, W, prepared.width());

    auto Q = context_->copy(W);
    clear_columns(*context_, Q.view(), prepared.diagonal.dead.data());
    UniformGrids<Scalar, Backend> grids(*context_, grid(), W.rows, grid().groups(W.cols));
    grids.fit_all(*context_, std::as_const(Q).view(), prepared.importance.data());

    const DiffusionPlan plan{.columns = W.cols, .group_columns = grid().group_columns(W.cols)};
    const std::vector<std::int32_t> groups = groups_of_positions(plan, prepared.order);
    auto codes = context_->template allocate<std::uint8_t>(W.rows, W.cols);
    diffuse_errors(*context_, plan, prepared.factor.view(), Q.view(), grids, prepared.importance.data(), groups.data(),
                   codes.view());

    QuantizedMatrix result{
        context_->download(std::as_const(codes).view()), grids.stored(*context_, W.cols), {}, {}, prepared.report};
    result.report.relative_error =
        relative_output_error(*context_, std::as_const(Q).view(), W, prepared.statistics->second_moments().view());
    result.report.seconds = seconds_since(start);
    return result;
  }

 private:
  const Context<Backend>* context_;
  SkeletonOptions options_;
};

}  // namespace halftone
