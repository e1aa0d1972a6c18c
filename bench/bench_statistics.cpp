// How fast are input statistics? H += XᵀX for X [tokens, n]: tokens · n² flops (half a full product; the other triangle
// is a copy). bf16: of float inputs that are rounded to bfloat16 first, as calibration does where the processor has
// units for it. Floor of the project: 70 % of the best library's single-precision product rate, 90 % with bf16.
#include <cmath>

#include "halftone/quant/statistics.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

/// A few elements of H against sums in double.
bool correct(const Matrix<float>& X, const Matrix<float>& H, double tolerance) {
  for (Index trial = 0; trial < 64; ++trial) {
    const Index i = trial * 7919 % X.cols(), j = trial * 104729 % X.cols();
    double sum = 0;
    for (Index t = 0; t < X.rows(); ++t) sum += static_cast<double>(X(t, i)) * static_cast<double>(X(t, j));
    if (!(std::abs(sum - static_cast<double>(H(i, j))) < tolerance * static_cast<double>(X.rows()))) return false;
  }
  return true;
}

void statistics(benchmark::State& state) {
  const Index tokens = state.range(0), n = state.range(1);
  const bool rounds = state.range(2) != 0;
  const Context<Cpu> context;
  const Matrix<float> X = bench::random_matrix(tokens, n, 1);
  InputStatistics<float> sums(context, n, Moments::Second, rounds ? ProductType::BFloat16 : ProductType::Float);
  sums.add(X);
  if (!correct(X, sums.second_moments(), rounds ? 1e-3 : 1e-5)) return state.SkipWithError("wrong sums");
  for (auto _ : state) sums.add(X);
  bench::count_flops(state, static_cast<double>(tokens) * static_cast<double>(n) * static_cast<double>(n));
}

}  // namespace

BENCHMARK(statistics)
    ->ArgNames({"tokens", "n", "bf16"})
    ->Args({2048, 768, 0})
    ->Args({2048, 1024, 0})
    ->Args({2048, 2048, 0})
    ->Args({4096, 4096, 0})
    ->Args({2048, 11008, 0})
    ->Args({2048, 768, 1})
    ->Args({2048, 1024, 1})
    ->Args({2048, 2048, 1})
    ->Args({4096, 4096, 1})
    ->Args({2048, 11008, 1})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
