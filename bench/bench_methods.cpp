// What does each method cost beside GPTQ? One square layer W [n, n], statistics with D given, preparation and solve
// together. Counter "of_gptq": time over that of GPTQ on the same grid and layer, measured in turns with it.
// Ceilings of the project at n = 4096: gptqv2 1.6, owq 1.1, the weighted grid search as long as the solve itself (2),
// GPTQT's search 20 s.
#include <chrono>
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

/// Seconds of one preparation and solve.
double seconds_of(const Problem& on, const char* method, const OptionMap& options) {
  const auto start = std::chrono::steady_clock::now();
  benchmark::DoNotOptimize(on.solve(method, options));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Counter "of_gptq": the fastest run over the fastest of GPTQ on the same grid. The two take turns, since other work
/// on the machine comes and goes.
void method(benchmark::State& state, const char* name, OptionMap extra) {
  const Problem& on = problem(state.range(0));
  const OptionMap grid{{"bits", "3"}, {"group_size", "128"}, {"grid", "minmax"}};
  for (const auto& [option, value] : grid) extra.try_emplace(option, value);
  double fastest = 1e30, gptq = 1e30;
  for (auto _ : state) {
    const double seconds = seconds_of(on, name, extra);
    state.SetIterationTime(seconds);
    fastest = std::min(fastest, seconds);
    gptq = std::min(gptq, seconds_of(on, "gptq", grid));
  }
  state.counters["seconds"] = fastest;
  state.counters["of_gptq"] = fastest / gptq;
}

void add(const char* label, const char* name, const OptionMap& options) {
  benchmark::RegisterBenchmark(label, [=](benchmark::State& state) { method(state, name, options); })
      ->ArgName("n")
      ->Arg(1024)
      ->Arg(4096)
      ->Iterations(4)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  add("gptq", "gptq", {});
  add("gptq, weighted grid", "gptq", {{"grid", "hessian"}});
  add("gptqv2", "gptqv2", {{"fallback", "false"}});
  add("gptqv2, the rounded columns", "gptqv2", {{"fallback", "false"}, {"second", "reference"}});
  add("gptqv2, with fallback", "gptqv2", {});
  add("shift", "gptq", {{"target", "shift"}, {"fallback", "false"}});
  add("owq, 0.4 %, the same grid", "owq", {{"outlier_columns", "0.004"}});
  add("gptqt, per row", "gptqt", {{"group_size", "-1"}});
  add("gptqt, fast shapes", "gptqt", {{"group_size", "-1"}, {"shapes", "fast"}});
  add("gptq, refined 4", "gptq", {{"refine", "4"}, {"refine_tolerance", "0"}});
  return halftone::bench::run_benchmarks(argc, argv);
}
