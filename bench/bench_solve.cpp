// How long does one square layer take? GPTQ of W [n, n], 4 bits, groups of 128, statistics given, factorisation
// included. Work: n³/3 (factor) + n³ (updates) + n³ (the denominator of the reported error). Counter "gemms": time in
// full n³ products at the best library's rate. Ceiling of the project for n = 4096: 2.5. bf16: from statistics of
// inputs rounded to bfloat16, as calibration makes them where the processor has units for it; ceiling 1.5.
#include <cmath>

#include "gptq_error.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

void solve(benchmark::State& state) {
  const Index n = state.range(0);
  const Context<Cpu> context;
  const Matrix<float> W = bench::random_matrix(n, n, 1);
  const auto products = state.range(3) != 0 ? ProductType::BFloat16 : ProductType::Float;
  InputStatistics<float> sums(context, n, Moments::Second, products);
  Matrix<float> X = bench::random_matrix(2 * n, n, 2);
  for (Index t = 0; t < X.rows(); ++t)  // neighbouring inputs go together, so that there is something to compensate
    for (Index j = 1; j < n; ++j) X(t, j) += 0.8f * X(t, j - 1);
  sums.add(X);
  sums.second_moments();

  GptqOptions options;
  options.act_order = state.range(1) != 0;
  options.grid.search = static_cast<GridSearch>(state.range(2));
  const KeepMemory keep;  // as runs do
  const GptqSolver<float, Cpu> solver(context, options);
  const double error = bench::gptq_error(context, options, W, sums);
  if (!(error > 0)) return state.SkipWithError("GPTQ is not better than nearly plain rounding");

  for (auto _ : state) benchmark::DoNotOptimize(solver.quantize(W, solver.prepare(sums)));
  const double cube = std::pow(static_cast<double>(n), 3);
  bench::count_flops(state, (1.0 / 3.0 + 2.0) * cube);
  state.counters["gemms"] = benchmark::Counter(
      2 * cube / bench::machine().sgemm, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["relative_error"] = error;
}

}  // namespace

BENCHMARK(solve)
    ->ArgNames({"n", "act_order", "search", "bf16"})
    ->Args({1024, 0, 0, 0})
    ->Args({2048, 0, 0, 0})
    ->Args({4096, 0, 0, 0})
    ->Args({4096, 1, 0, 0})
    ->Args({4096, 1, 1, 0})
    ->Args({4096, 1, 2, 0})
    ->Args({1024, 0, 0, 1})
    ->Args({2048, 0, 0, 1})
    ->Args({4096, 0, 0, 1})
    ->Args({4096, 1, 0, 1})
    ->Args({4096, 1, 2, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
