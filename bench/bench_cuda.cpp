// How long do statistics and solves take on a GPU, beside their floors? Matrices are in device memory before the clock
// starts. Every row has the counter "of_peak": the share of the best rate of the same kind of product in this process.
// Without a GPU every row says why it was skipped.
//
//   statistics     XᵀX of 16-bit inputs, 8192 wide, counting n²·k flops: the triangle alone
//   factor         reversed Cholesky and inverse, 2/3·n³ flops
//   solve          GPTQ of W [m, n], 4 bits, groups of 128, factorisation and result on the host included:
//                  (2/3)·n³ + 2·m·n² flops
//   solve, B = 1   the straightforward way: a column at a time, a product of rank one for what is behind it
//   train          what a step of fine-tuning does to W [n, n] beside its block's products: W of the latent numbers,
//                  their gradients, the optimiser. "of_copy": the share of the rate of a copy in the device's memory
#include <memory>

#include "gptq_error.hpp"
#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/core/random.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "halftone/solver/gptq.hpp"
#include "halftone/solver/quantizer_of.hpp"
#include "halftone/tune/optimiser.hpp"
#include "machine.hpp"

namespace {

using namespace halftone;

/// The context of all rows; null where there is no GPU.
const Context<Cuda>* context() {
  static const std::unique_ptr<Context<Cuda>> made =
      cuda_devices().problem.empty() ? std::make_unique<Context<Cuda>>() : nullptr;
  return made.get();
}

#define HALFTONE_NEEDS_GPU(state, device)                                               \
  if (context() == nullptr) return state.SkipWithError(cuda_devices().problem.c_str()); \
  const Context<Cuda>& device = *context()

CudaMatrix<float> random_on(const Context<Cuda>& device, Index rows, Index cols, std::uint64_t seed) {
  const Matrix<float> host = bench::random_matrix(rows, cols, seed);
  return device.upload(host.view());
}
CudaMatrix<BFloat16> narrow_on(const Context<Cuda>& device, Index rows, Index cols, std::uint64_t seed) {
  const Matrix<float> wide = bench::random_matrix(rows, cols, seed);
  Matrix<BFloat16> narrow(rows, cols);
  for (Index i = 0; i < wide.size(); ++i) narrow.data()[i] = BFloat16(wide.data()[i]);
  return device.upload(std::as_const(narrow).view());
}

/// Seconds of `work`, the fastest of three after one that warms up.
template <class Work>
double fastest(const Context<Cuda>& device, Work&& work) {
  double best = 1e30;
  for (int run = 0; run < 4; ++run) {
    device.synchronize();
    const auto start = std::chrono::steady_clock::now();
    work();
    device.synchronize();
    if (run > 0) best = std::min(best, seconds_since(start));
  }
  return best;
}

/// flop/s of 8192³ products: bfloat16 inputs, and float.
double peak(const Context<Cuda>& device, bool narrow) {
  constexpr Index n = 8192;
  auto C = device.allocate<float>(n, n);
  const auto rate = [&](auto&& work) { return 2.0 * n * n * n / fastest(device, work); };
  if (narrow) {
    static const double measured = [&] {
      const auto A = narrow_on(device, n, n, 1), B = narrow_on(device, n, n, 2);
      return rate([&] { gemm<BFloat16>(device, Transpose::Yes, Transpose::No, A, B, false, C); });
    }();
    return measured;
  }
  static const double measured = [&] {
    const auto A = random_on(device, n, n, 1), B = random_on(device, n, n, 2);
    return rate([&] { gemm<float>(device, Transpose::No, Transpose::No, 1, A, B, 0, C); });
  }();
  return measured;
}

void count(benchmark::State& state, double flops, double rate) {
  state.counters["TFLOP/s"] = benchmark::Counter(flops / 1e12, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["of_peak"] = benchmark::Counter(flops / rate, benchmark::Counter::kIsIterationInvariantRate);
}

void statistics(benchmark::State& state) {
  HALFTONE_NEEDS_GPU(state, device);
  const Index n = state.range(0), tokens = state.range(1);
  const double rate = peak(device, true);
  const auto X = narrow_on(device, tokens, n, 3);
  auto H = device.allocate<float>(n, n);
  set_zero(device, H.view());
  device.synchronize();
  for (auto _ : state) {
    add_squares(device, X.view(), H.view());
    device.synchronize();
  }
  count(state, static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(tokens), rate);
}

/// Statistics of inputs whose neighbours go together, so that there is something to compensate.
InputStatistics<float, Cuda> statistics_of(const Context<Cuda>& device, Index n) {
  Matrix<float> X = bench::random_matrix(2048, n, 4);
  for (Index t = 0; t < X.rows(); ++t)
    for (Index j = 1; j < n; ++j) X(t, j) += 0.8f * X(t, j - 1);
  const auto inputs = device.upload(std::as_const(X).view());
  InputStatistics<float, Cuda> sums(device, n, Moments::Second);
  sums.add(inputs.view());
  sums.second_moments();
  return sums;
}

void factor(benchmark::State& state) {
  HALFTONE_NEEDS_GPU(state, device);
  const Index n = state.range(0);
  const double rate = peak(device, false);
  const auto sums = statistics_of(device, n);
  const GptqSolver<float, Cuda> solver(device);
  for (auto _ : state) {
    benchmark::DoNotOptimize(solver.prepare(sums));
    device.synchronize();
  }
  const auto size = static_cast<double>(n);
  count(state, 1.0 / 3.0 * size * size * size, rate);
}

void solve(benchmark::State& state) {
  HALFTONE_NEEDS_GPU(state, device);
  const Index m = state.range(0), n = state.range(1);
  const double rate = peak(device, false);
  const auto sums = statistics_of(device, n);
  const auto W = random_on(device, m, n, 5);
  GptqOptions options;
  options.block_size = state.range(2);
  const GptqSolver<float, Cuda> solver(device, options);
  const double error = bench::gptq_error(device, options, W, sums);
  if (!(error > 0)) return state.SkipWithError("GPTQ is not better than nearly plain rounding");
  for (auto _ : state) benchmark::DoNotOptimize(solver.quantize(W, solver.prepare(sums)));
  const auto rows = static_cast<double>(m), cols = static_cast<double>(n);
  count(state, 1.0 / 3.0 * cols * cols * cols + 2 * rows * cols * cols, rate);
  state.counters["relative_error"] = error;
}

/// byte/s of a copy of 1 GiB, what is read and what is written.
double copy_rate(const Context<Cuda>& device) {
  static const double measured = [&] {
    const auto from = random_on(device, 16384, 16384, 6);
    auto to = device.allocate<float>(16384, 16384);
    const auto copy = [&] { device.transfer<float>(from.view(), to.view(), Transfer::Within); };
    return 8.0 * static_cast<double>(from.size()) / fastest(device, copy);
  }();
  return measured;
}

void train(benchmark::State& state) {
  HALFTONE_NEEDS_GPU(state, device);
  const Index n = state.range(0);
  const auto kind = static_cast<TrainableKind>(state.range(1));
  const bool sign_round = kind == TrainableKind::SignRound;
  const double rate = copy_rate(device);
  const auto W = random_on(device, n, n, 7), dW = random_on(device, n, n, 8);
  const GptqSolver<float, Cuda> solver(device);
  const QuantizedMatrix start = solver.quantize(W, solver.prepare(statistics_of(device, n)));
  TrainableOptions options;
  options.kind = kind;
  const auto trainable = make_trainable(device, W.view(), start, options);
  OptimiserOptions steps;
  steps.kind = sign_round ? OptimiserKind::SignSgd : OptimiserKind::AdamW;
  steps.beta1 = 0;
  Optimiser optimiser(device, trainable->parameters(), steps);
  auto now = device.allocate<float>(n, n);
  for (auto _ : state) {
    trainable->forward(now);
    trainable->backward(dW);
    optimiser.step();
    device.synchronize();
  }
  const double bytes_of_weight = sign_round ? 13 + 21 + 16 : kind == TrainableKind::Lsq ? 9 + 17 + 24 : 9 + 13 + 24;
  const double bytes = bytes_of_weight * static_cast<double>(n) * static_cast<double>(n);
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
  state.counters["of_copy"] = benchmark::Counter(bytes / rate, benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace

BENCHMARK(statistics)
    ->ArgNames({"n", "tokens"})
    ->Args({8192, 16384})
    ->Args({4096, 16384})
    ->Args({11008, 16384})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(factor)->ArgNames({"n"})->Arg(4096)->Arg(11008)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(solve)
    ->ArgNames({"m", "n", "block"})
    ->Args({4096, 4096, 128})
    ->Args({4096, 4096, 1})
    ->Args({4096, 11008, 128})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(train)
    ->ArgNames({"n", "kind"})
    ->Args({4096, static_cast<std::int64_t>(halftone::TrainableKind::Latent)})
    ->Args({4096, static_cast<std::int64_t>(halftone::TrainableKind::Lsq)})
    ->Args({4096, static_cast<std::int64_t>(halftone::TrainableKind::SignRound)})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("cuda", halftone::cuda_devices_text());
  return benchmark::RunSpecifiedBenchmarks() == 0 ? 1 : 0;
}
