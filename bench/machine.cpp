#include "machine.hpp"

#include <dlfcn.h>

#include <chrono>
#include <cstdlib>  // setenv
#include <cstring>  // memcpy
#include <functional>

#include "halftone/backend/linear_algebra.hpp"

#if defined(HALFTONE_HAS_ONEDNN)
#include <oneapi/dnnl/dnnl.h>
#endif

namespace halftone::bench {
namespace {

/// Seconds of the fastest of `runs` calls, after one to warm up.
double fastest(int runs, const std::function<void()>& work) {
  double best = 1e300;
  for (int run = 0; run <= runs; ++run) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (run > 0 && seconds < best) best = seconds;
  }
  return best;
}

using CblasSgemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                            const float* A, int lda, const float* B, int ldb, float beta, float* C, int ldc);

/// OpenBLAS's product, or null where it is not installed.
CblasSgemm openblas_sgemm() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 0);  // read when the library is loaded
#endif
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  return library ? reinterpret_cast<CblasSgemm>(dlsym(library, "cblas_sgemm")) : nullptr;
}

void measure_products(Machine& result) {
  constexpr int n = 4096;
  constexpr double flops = 2.0 * n * n * n;
  const Matrix<float> A = random_matrix(n, n, 1), B = random_matrix(n, n, 2);
  Matrix<float> C(n, n, 0.0f);
  const auto enter = [&](const char* library, const std::function<void()>& product) {
    const double rate = flops / fastest(3, product);
    if (rate > result.sgemm) result.sgemm = rate, result.sgemm_by = library;
  };
  const Context<Cpu> context;
  result.own_sgemm = flops / fastest(3, [&] { gemm<float>(context, Transpose::No, Transpose::No, 1, A, B, 0, C); });
#if defined(HALFTONE_HAS_ONEDNN)
  enter("onednn", [&] { dnnl_sgemm('N', 'N', n, n, n, 1, A.data(), n, B.data(), n, 0, C.data(), n); });
#endif
  if (const CblasSgemm sgemm = openblas_sgemm())
    enter("openblas", [&] { sgemm(101, 111, 111, n, n, n, 1, A.data(), n, B.data(), n, 0, C.data(), n); });
  if (result.sgemm == 0) result.sgemm = result.own_sgemm, result.sgemm_by = "halftone";
}

void measure_copy(Machine& result) {
  constexpr Index bytes = Index{256} << 20, piece = Index{1} << 20;
  const Matrix<char> from(1, bytes, 'a');
  Matrix<char> to(1, bytes, 'b');
  const double seconds = fastest(5, [&] {
    parallel_pieces(available_threads(), bytes, piece, [&](Index first, Index last) {
      std::memcpy(to.data() + first, from.data() + first, static_cast<std::size_t>(last - first));
    });
    benchmark::DoNotOptimize(to.data());
  });
  result.copy = 2.0 * static_cast<double>(bytes) / seconds;
}

}  // namespace

Matrix<float> random_matrix(Index rows, Index cols, std::uint64_t seed) {
  Random random(seed);
  Matrix<float> matrix(rows, cols);
  for (Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = static_cast<float>(random.uniform() - 0.5);
  return matrix;
}

const Machine& machine() {
  static const Machine measured = [] {
    Machine result;
    measure_products(result);
    measure_copy(result);
    return result;
  }();
  return measured;
}

void count_flops(benchmark::State& state, double flops_per_iteration) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] = Counter(flops_per_iteration / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["of_sgemm"] = Counter(flops_per_iteration / machine().sgemm, Counter::kIsIterationInvariantRate);
}

void count_bytes(benchmark::State& state, double bytes_per_iteration) {
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(bytes_per_iteration / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["of_copy"] = Counter(bytes_per_iteration / machine().copy, Counter::kIsIterationInvariantRate);
}

int run_benchmarks(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const Context<Cpu> context;
  benchmark::AddCustomContext("halftone_isa", context.isa());
  benchmark::AddCustomContext("halftone_products", context.products());
  benchmark::AddCustomContext("threads", std::to_string(context.threads()));
  benchmark::AddCustomContext("sgemm_4096_best_library", machine().sgemm_by);
  benchmark::AddCustomContext("sgemm_4096_best_gflops", std::to_string(machine().sgemm / 1e9));
  benchmark::AddCustomContext("sgemm_4096_halftone_gflops", std::to_string(machine().own_sgemm / 1e9));
  benchmark::AddCustomContext("copy_gbytes_per_second", std::to_string(machine().copy / 1e9));
  return benchmark::RunSpecifiedBenchmarks() == 0 ? 1 : 0;
}

}  // namespace halftone::bench
