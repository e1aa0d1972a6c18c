// How fast are grids fitted? W [rows, 128], one group. Min-max reads every weight once: bytes. The searches try 40
// ranges and, if asymmetric, 3 zeros each: per weight and range 3 flops (steps, nearest) and per zero 6 (two clamps,
// error, square, weight, sum), with the power 2.4 another 24 (two polynomials).
#include "halftone/backend/quantize.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

void grid_search(benchmark::State& state) {
  const Index rows = state.range(0), columns = 128;
  GridOptions options;
  options.search = static_cast<GridSearch>(state.range(1));
  options.symmetric = state.range(2) != 0;
  const Context<Cpu> context;
  const Matrix<float> W = bench::random_matrix(rows, columns, 1), h(1, columns, 1.0f);
  std::vector<float> scales(static_cast<std::size_t>(rows)), zeros(scales.size());
  const auto fit = [&] { fit_uniform_grid<float>(context, W, h.data(), options, scales.data(), zeros.data()); };
  fit();
  for (float scale : scales)  // the widest range is 1, the narrowest tried 0.22 of it
    if (!(scale > 0.2f / 16 && scale <= 1.01f / 15)) return state.SkipWithError("a scale out of bounds");
  for (auto _ : state) fit();

  const double weights = static_cast<double>(rows * columns);
  if (options.search == GridSearch::MinMax) return bench::count_bytes(state, 4 * weights);
  const double zeros_tried = options.symmetric ? 1 : 3;
  bench::count_flops(state, weights * 40 * (3 + zeros_tried * (options.search == GridSearch::L24 ? 30 : 6)));
}

}  // namespace

BENCHMARK(grid_search)
    ->ArgNames({"rows", "search", "sym"})
    ->ArgsProduct({{32768}, {0, 1, 2}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
