// A solver of one's own in one file, used like those that Halftone ships: it rounds each weight to the nearest value of
// its grid as RTN does, but fits the grids under diag(H), so that loud inputs count for more. docs/adding_a_solver.md
// walks through the parts; ../skeleton_solver.hpp is the one to copy for methods that diffuse errors.
#include <chrono>
#include <cstdio>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/random.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "halftone/solver/input_diagonal.hpp"
#include "halftone/solver/quantizer_of.hpp"
#include "halftone/solver/rtn.hpp"
#include "halftone/solver/solver.hpp"

namespace {

using namespace halftone;

struct WeightedOptions {
  GridOptions grid;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    GridOptions::fields(self.grid, visit);
  }
};

template <class Scalar, class Backend>
class WeightedRounding {
 public:
  using Options = WeightedOptions;
  struct Prepared {
    const InputStatistics<Scalar, Backend>* statistics;
    std::vector<Scalar> importance;  ///< diag(H)
  };
  static constexpr std::string_view name = "weighted";
  static constexpr std::string_view help = "rounding on grids that are fitted under diag(H)";
  static constexpr std::string_view paper = "";

  WeightedRounding(const Context<Backend>& context, WeightedOptions options) : context_(&context), options_(options) {
    options_.grid.search = GridSearch::Hessian;
    validate_options(name, options_);
    check_grid(name, options_.grid);
  }

  const WeightedOptions& options() const { return options_; }
  const GridOptions& grid() const { return options_.grid; }
  Moments moments() const { return Moments::Second; }

  Prepared prepare(const InputStatistics<Scalar, Backend>& statistics) const {
    const auto values = diagonal(*context_, statistics.second_moments().view());
    return {&statistics, {values.begin(), values.end()}};
  }

  QuantizedMatrix quantize(MatrixView<const Scalar> W, const Prepared& prepared) const {
    const auto start = std::chrono::steady_clock::now();
    check_weights(name, *context_, W, prepared.statistics->width());
    UniformGrids<Scalar, Backend> grids(*context_, grid(), W.rows, grid().groups(W.cols));
    grids.fit_all(*context_, W, prepared.importance.data());
    const std::vector<std::int32_t> groups = groups_of_columns(W.cols, grid().group_columns(W.cols));
    auto Q = context_->copy(W);
    auto codes = context_->template allocate<std::uint8_t>(W.rows, W.cols);
    round_block(*context_, grids.cells(groups.data()), Q.view(), codes.view());

    QuantizedMatrix result{
        context_->download(std::as_const(codes).view()), grids.stored(*context_, W.cols), {}, {}, {}};
    result.report.tokens = prepared.statistics->tokens();
    result.report.relative_error =
        relative_output_error(*context_, std::as_const(Q).view(), W, prepared.statistics->second_moments().view());
    result.report.seconds = seconds_since(start);
    return result;
  }

 private:
  const Context<Backend>* context_;
  WeightedOptions options_;
};

Matrix<float> random_numbers(Index rows, Index cols, std::uint64_t seed, bool loud) {
  Random random(seed);
  Matrix<float> values(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j)
      values(i, j) = static_cast<float>((loud && j % 16 == 0 ? 20 : 1) * random.normal());
  return values;
}

}  // namespace

int main() {
  const Context<Cpu> context;
  const Matrix<float> W = random_numbers(64, 128, 1, false), X = random_numbers(512, 128, 2, true);
  InputStatistics<float> statistics(context, 128, Moments::Second);
  statistics.add(X.view());

  // As a Quantizer, the face that the pipeline and every writer of formats know.
  const OptionMap options = {{"bits", "2"}, {"group_size", "64"}};
  const QuantizerOf<WeightedRounding<float, Cpu>> own(context, options_from<WeightedOptions>("weighted", options));
  const QuantizerOf<RtnSolver<float, Cpu>> plain(context, options_from<RtnOptions>("rtn", options));
  const auto error = [&](const Quantizer& quantizer) {
    const Matrix<float> Q = dequantize(quantizer.quantize(W.view(), statistics));
    return relative_output_error<float>(context, Q.view(), W.view(), statistics.second_moments().view());
  };
  const double weighted = error(own), rounded = error(plain);
  std::printf("error of the outputs: %.4f with weighted grids, %.4f with rtn\n", weighted, rounded);
  return weighted < rounded ? 0 : 1;
}
