// Is what a benchmark of GPTQ times a solve that works?
#pragma once

#include "halftone/solver/gptq.hpp"

namespace halftone::bench {

/// Relative error of the solve, or 0 unless it is clearly below that of nearly plain rounding. Weights and sums are
/// where the backend computes.
template <class Backend, class Weights>
double gptq_error(const Context<Backend>& context, const GptqOptions& options, const Weights& W,
                  const InputStatistics<float, Backend>& sums) {
  const auto error_with = [&](const GptqOptions& tried) {
    const GptqSolver<float, Backend> solver(context, tried);
    return solver.quantize(W, solver.prepare(sums)).report.relative_error;
  };
  GptqOptions rounding = options;
  rounding.damping = 1;  // hardly any compensation: an error to compare with
  const double error = error_with(options);
  return error < 0.9 * error_with(rounding) ? error : 0;
}

}  // namespace halftone::bench
