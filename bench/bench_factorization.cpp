// How fast is the factor that every solve needs? One reversed Cholesky, n³/3 flops, and a triangular inverse, as many
// again; solvers that need U in panels only leave most of that out.
#include <cmath>

#include "halftone/backend/linear_algebra.hpp"
#include "halftone/solver/error_diffusion.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

/// XᵀX / n + I / 100 in S.
template <class S>
Matrix<S> second_moments(const Context<Cpu>& context, Index n) {
  const Matrix<float> X = bench::random_matrix(2 * n, n, 1);
  Matrix<float> H(n, n);
  gemm_upper<float>(context, Transpose::Yes, Transpose::No, 1.0f / static_cast<float>(n), X, X, 0, H);
  mirror_upper<float>(context, H);
  Matrix<S> result(n, n);
  for (Index i = 0; i < n * n; ++i) result.data()[i] = static_cast<S>(H.data()[i]);
  for (Index i = 0; i < n; ++i) result(i, i) += S(0.01);
  return result;
}

/// (U A Uᵀ)(i, i) = 1 for a few i, in double.
template <class S>
bool correct(const Matrix<S>& A, const Matrix<S>& U) {
  const Index n = A.rows();
  for (Index i = 0; i < n; i += n / 7 + 1) {
    double sum = 0;
    for (Index j = i; j < n; ++j) {
      double product = 0;
      for (Index k = i; k < n; ++k) product += static_cast<double>(U(i, k)) * static_cast<double>(A(k, j));
      sum += product * static_cast<double>(U(i, j));
    }
    if (!(std::abs(sum - 1) < (sizeof(S) == 4 ? 1e-3 : 1e-11))) return false;
  }
  return true;
}

template <class S>
void factorization(benchmark::State& state) {
  const Index n = state.range(0);
  const Context<Cpu> context;
  const Matrix<S> A = second_moments<S>(context, n);
  Matrix<S> U = A;
  if (inverse_factor<S>(context, U) != -1 || !correct(A, U)) return state.SkipWithError("wrong factor");
  const Index panel = state.range(1) != 0 ? DiffusionPlan{}.panel_columns() : one_panel;
  for (auto _ : state) {
    state.PauseTiming();
    U = A;
    state.ResumeTiming();
    inverse_factor<S>(context, U, panel);
  }
  bench::count_flops(state, (panel == one_panel ? 2.0 : 1.0) / 3.0 * std::pow(static_cast<double>(n), 3));
}

}  // namespace

BENCHMARK(factorization<float>)
    ->ArgNames({"n", "panels"})
    ->ArgsProduct({{768, 1024, 2048, 4096}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(factorization<double>)
    ->ArgNames({"n", "panels"})
    ->ArgsProduct({{1024, 2048}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) { return halftone::bench::run_benchmarks(argc, argv); }
