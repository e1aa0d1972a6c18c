// What does the C interface add? GPTQ of a layer [n, n] from statistics: order, factorisation and solve, through
// ht_quantizer_run and through the C++ interface in turn, 25 runs of each, the fastest. Counter "overhead": C over C++,
// less 1. Ceiling of the project at n = 1024: 1 %.
#include <halftone.h>

#include <algorithm>
#include <chrono>

#include "halftone/solver/quantizer.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

template <class Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double fastest(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

/// The layer by C; handles are made once, and destroyed with it. The quantizer keeps what it prepares: a change of an
/// option makes it prepare again, as the C++ side does.
struct ByC {
  ht_context* context = nullptr;
  ht_statistics* statistics = nullptr;
  ht_quantizer* quantizer = nullptr;
  ht_matrix W = {};
  bool good = true;

  ByC(const Matrix<float>& weights, const Matrix<float>& inputs) {
    W.struct_size = sizeof W;
    W.dtype = HT_F32;
    W.rows = weights.rows();
    W.cols = weights.cols();
    W.data = const_cast<float*>(weights.data());
    ht_matrix X = W;
    X.rows = inputs.rows();
    X.data = const_cast<float*>(inputs.data());
    good = ht_context_create(0, &context) == HT_OK &&
           ht_statistics_create(context, W.cols, HT_MOMENTS_SECOND, &statistics) == HT_OK &&
           ht_statistics_add(statistics, &X, nullptr, 0) == HT_OK &&
           ht_quantizer_create(context, "gptq", &quantizer) == HT_OK;
  }
  ~ByC() {
    ht_quantizer_destroy(quantizer);
    ht_statistics_destroy(statistics);
    ht_context_destroy(context);
  }
  void solve() {
    ht_result* result = nullptr;
    good = good && ht_quantizer_set(quantizer, "bits", "4") == HT_OK &&
           ht_quantizer_run(quantizer, &W, statistics, &result) == HT_OK;
    ht_result_destroy(result);
  }
};

void overhead(benchmark::State& state) {
  const Index n = state.range(0);
  const Matrix<float> W = bench::random_matrix(n, n, 1), X = bench::random_matrix(2 * n, n, 2);
  const Context<Cpu> context;
  InputStatistics<float> statistics(context, n, Moments::Second);
  statistics.add(X.view());
  const auto quantizer = make_quantizer(context, "gptq", {{"bits", "4"}});
  ByC c(W, X);
  std::vector<double> by_c, by_cpp;
  for (auto _ : state) {
    for (int run = 0; run < 25; ++run) {
      by_cpp.push_back(seconds_of([&] { benchmark::DoNotOptimize(quantizer->quantize(W.view(), statistics)); }));
      by_c.push_back(seconds_of([&] { c.solve(); }));
    }
    state.SetIterationTime(fastest(by_c));
  }
  if (!c.good) return state.SkipWithError("the C interface failed");
  state.counters["cpp_ms"] = 1e3 * fastest(by_cpp);
  state.counters["c_ms"] = 1e3 * fastest(by_c);
  state.counters["overhead"] = fastest(by_c) / fastest(by_cpp) - 1;
}
BENCHMARK(overhead)->Arg(256)->Arg(1024)->UseManualTime()->Iterations(1)->Repetitions(3)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
