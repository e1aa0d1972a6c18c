// RTN: round to nearest. Every weight goes to the nearest value of its group's grid; no error is compensated. The
// baseline of the GPTQ paper (arXiv 2210.17323), and what every method must beat.
//
// Cost: the grid fit, then one pass over W. Calibration is needed for the diag(H)-weighted grid search alone; where
// statistics are there anyway, the report's error is that of the outputs.
#pragma once

#include "halftone/quant/grid_fit.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/input_diagonal.hpp"
#include "halftone/solver/solver.hpp"

namespace halftone {

struct RtnOptions {
  GridOptions grid;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    GridOptions::fields(self.grid, visit);
  }
};

template <class Scalar, class Backend>
class RtnSolver {
 public:
  using Options = RtnOptions;
  /// Of a stage: its statistics if they hold H, else null, and diag(H).
  struct Prepared {
    const InputStatistics<Scalar, Backend>* statistics = nullptr;
    typename Backend::template Matrix<Scalar> importance;  ///< [1, in] or empty
    Index width = 0;
    SolveReport report;
  };
  static constexpr std::string_view name = "rtn";
  static constexpr std::string_view help = "round to nearest: no calibration, no compensation";
  static constexpr std::string_view paper = "arXiv 2210.17323 (baseline)";

  /// Throws Status::InvalidArgument for options out of bounds. The context must outlive the solver.
  explicit RtnSolver(const Context<Backend>& context, RtnOptions options = {});

  const RtnOptions& options() const { return options_; }
  const GridOptions& grid() const { return options_.grid; }
  Moments moments() const { return grid().search == GridSearch::Hessian ? Moments::Second : Moments::None; }

  /// `statistics` must outlive the result.
  Prepared prepare(const InputStatistics<Scalar, Backend>& statistics) const;
  /// W [out, in] in the backend's memory.
  QuantizedMatrix quantize(MatrixView<const Scalar> W, const Prepared& prepared) const;

 private:
  const Context<Backend>* context_;
  RtnOptions options_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <class Scalar, class Backend>
RtnSolver<Scalar, Backend>::RtnSolver(const Context<Backend>& context, RtnOptions options)
    : context_(&context), options_(options) {
  validate_options(name, options_);
  check_grid(name, options_.grid);
}

template <class Scalar, class Backend>
auto RtnSolver<Scalar, Backend>::prepare(const InputStatistics<Scalar, Backend>& statistics) const -> Prepared {
  Prepared prepared;
  prepared.width = statistics.width();
  if (moments() == Moments::None && (statistics.moments() == Moments::None || statistics.tokens() == 0))
    return prepared;
  const InputDiagonal diagonal = input_diagonal(name, statistics);
  const std::vector<Scalar> importance(diagonal.values.begin(), diagonal.values.end());
  prepared.statistics = &statistics;
  prepared.importance = context_->upload(MatrixView<const Scalar>(importance.data(), 1, statistics.width()));
  prepared.report.tokens = statistics.tokens();
  prepared.report.dead_columns = diagonal.dead_columns;
  return prepared;
}

template <class Scalar, class Backend>
QuantizedMatrix RtnSolver<Scalar, Backend>::quantize(MatrixView<const Scalar> W, const Prepared& prepared) const {
  const auto start = std::chrono::steady_clock::now();
  check_weights(name, *context_, W, prepared.width);
  UniformGrids<Scalar, Backend> grids(*context_, grid(), W.rows, grid().groups(W.cols));
  grids.fit_all(*context_, W, prepared.importance.data());

  auto Q = context_->copy(W);
  auto codes = context_->template allocate<std::uint8_t>(W.rows, W.cols);
  const std::vector<std::int32_t> groups = groups_of_columns(W.cols, grid().group_columns(W.cols));
  round_block(*context_, grids.cells(groups.data()), Q.view(), codes.view());

  QuantizedMatrix result{
      context_->download(std::as_const(codes).view()), grids.stored(*context_, W.cols), {}, {}, prepared.report};
  const auto rounded = std::as_const(Q).view();
  result.report.relative_error =
      prepared.statistics != nullptr
          ? relative_output_error(*context_, rounded, W, prepared.statistics->second_sums())
          : relative_error(squared_distance(*context_, rounded, W), inner_product(*context_, W, W));
  result.report.seconds = seconds_since(start);
  return result;
}

}  // namespace halftone
