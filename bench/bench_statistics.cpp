// How fast are input statistics? H += XᵀX for X [tokens, n]: tokens · n² flops (half a full product; the other triangle
// is a copy). Floor of the project: 70 % of the best library's product rate.
#include <cmath>

#include "halftone/quant/statistics.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

/// A few elements of H against sums in double.
bool correct(const Matrix<float>& X, const Matrix<float>& H) {
  for (Index trial = 0; trial < 64; ++trial) {
    const Index i = trial * 7919 % X.cols(), j = trial * 104729 % X.cols();
    double sum = 0;
    for (Index t = 0; t < X.rows(); ++t) sum += static_cast<double>(X(t, i)) * static_cast<double>(X(t, j));
    if (!(std::abs(sum - static_cast<double>(H(i, j))) < 1e-5 * static_cast<double>(X.rows()))) return false;
  }
  return true;
}

void statistics(benchmark::State& state) {
  const Index tokens = state.range(0), n = state.range(1);
  const Context<Cpu> context;
  const Matrix<float> X = bench::random_matrix(tokens, n, 1);
  InputStatistics<float> sums(context, n, Moments::Second);
  sums.add(X);
  if (!correct(X, sums.second_moments())) return state.SkipWithError("wrong sums");
  for (auto _ : state) sums.add(X);
  bench::count_flops(state, static_cast<double>(tokens) * static_cast<double>(n) * static_cast<double>(n));
}

}  // namespace

BENCHMARK(statistics)
    ->ArgNames({"tokens", "n"})
    ->Args({2048, 768})
    ->Args({2048, 1024})
    ->Args({2048, 2048})
    ->Args({4096, 4096})
    ->Args({2048, 11008})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
