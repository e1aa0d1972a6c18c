// What the machine can do, measured in the same process as the benchmark: every row reports its share of that.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/matrix.hpp"
#include "halftone/core/random.hpp"

namespace halftone::bench {

/// Rates with all processors.
struct Machine {
  double sgemm = 0;      ///< flop/s of the fastest 4096³ single-precision product of the libraries found
  std::string sgemm_by;  ///< which library that was
  double own_sgemm = 0;  ///< the same by Halftone's gemm
  double copy = 0;       ///< byte/s of copying 256 MiB, bytes read and written counted
};

/// Measured at the first call: oneDNN if the build has it, OpenBLAS if the machine has it (loaded at run time, and told
/// its AVX-512 kernels, which Debian's version does not choose on every processor), else Halftone's own product.
const Machine& machine();

/// Runs the benchmarks of this program, with the machine's rates in the context of the report.
int run_benchmarks(int argc, char** argv);

/// Uniform in −0.5 .. 0.5.
Matrix<float> random_matrix(Index rows, Index cols, std::uint64_t seed);

/// Counters "GFLOP/s" and "of_sgemm", the share of the machine's product rate.
void count_flops(benchmark::State& state, double flops_per_iteration);
/// Counters "GB/s" and "of_copy", the share of the machine's copying rate.
void count_bytes(benchmark::State& state, double bytes_per_iteration);

}  // namespace halftone::bench
