// What does each method cost beside GPTQ? One square layer W [n, n], statistics with D given, preparation and solve
// together. Counter "of_gptq": time over that of GPTQ on the same grid and layer, measured in the same process before.
// Ceilings of the project at n = 4096: gptqv2 1.6, owq 1.1, the weighted grid search as long as the solve itself (2),
// GPTQT's search 20 s.
#include <chrono>
#include <cmath>
#include <map>

#include "halftone/solver/quantizer.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

/// A layer of width n and the statistics of both streams, made once.
struct Problem {
  Context<Cpu> context;
  Matrix<float> W;
  InputStatistics<float> sums;

  explicit Problem(Index n) : W(bench::random_matrix(n, n, 1)), sums(context, n, Moments::Cross) {
    Matrix<float> X = bench::random_matrix(2 * n, n, 2);
    for (Index t = 0; t < X.rows(); ++t)  // neighbouring inputs go together, so that there is something to compensate
      for (Index j = 1; j < n; ++j) X(t, j) += 0.8f * X(t, j - 1);
    const Matrix<float> noise = bench::random_matrix(2 * n, n, 3);
    Matrix<float> X_fp = X;
    for (Index i = 0; i < X.size(); ++i) X_fp.data()[i] += 0.05f * (noise.data()[i] + X.data()[i]);
    sums.add(X, X_fp);
    sums.second_moments();
  }
  QuantizedMatrix solve(const char* method, const OptionMap& options) const {
    return make_quantizer(context, method, options)->quantize(W, sums);
  }
};

const Problem& problem(Index n) {
  static std::map<Index, Problem> made;
  return made.try_emplace(n, n).first->second;
}

/// Seconds of GPTQ with these grids, the faster of two runs.
double gptq_seconds(const Problem& on, const OptionMap& grid) {
  static std::map<std::pair<Index, OptionMap>, double> measured;
  double& seconds = measured[{on.W.rows(), grid}];
  for (int run = 0; run < 3 && (run < 2 || seconds == 0); ++run) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(on.solve("gptq", grid));
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    seconds = run == 0 ? took : std::min(seconds, took);
  }
  return seconds;
}

void method(benchmark::State& state, const char* name, OptionMap extra) {
  const Problem& on = problem(state.range(0));
  const OptionMap grid{{"bits", "3"}, {"group_size", "128"}, {"grid", "minmax"}};
  const double gptq = gptq_seconds(on, grid);
  for (const auto& [option, value] : grid) extra.try_emplace(option, value);
  double seconds = 0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    benchmark::DoNotOptimize(on.solve(name, extra));
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  state.counters["of_gptq"] = seconds / static_cast<double>(state.iterations()) / gptq;
}

void add(const char* label, const char* name, const OptionMap& options) {
  benchmark::RegisterBenchmark(label, [=](benchmark::State& state) { method(state, name, options); })
      ->ArgName("n")
      ->Arg(1024)
      ->Arg(4096)
      ->Iterations(2)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  add("gptq", "gptq", {});
  add("gptq, weighted grid", "gptq", {{"grid", "hessian"}});
  add("gptqv2", "gptqv2", {{"fallback", "false"}});
  add("gptqv2, with fallback", "gptqv2", {});
  add("shift", "gptq", {{"target", "shift"}, {"fallback", "false"}});
  add("owq, 0.4 %, the same grid", "owq", {{"outlier_columns", "0.004"}});
  add("gptqt, per row", "gptqt", {{"group_size", "-1"}});
  add("gptqt, fast shapes", "gptqt", {{"group_size", "-1"}, {"shapes", "fast"}});
  add("gptq, refined 4", "gptq", {{"refine", "4"}, {"refine_tolerance", "0"}});
  return halftone::bench::run_benchmarks(argc, argv);
}
