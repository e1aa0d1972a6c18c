// A pipeline of one's own on the templates: an engine with two linear layers and a ReLU between them quantises both,
// the second against the inputs that the quantised first one gives it.
//
//     halftone::headers alone is enough: nothing of Halftone is linked.
#include <cstdio>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/random.hpp"
#include "halftone/quant/metrics.hpp"
#include "halftone/solver/gptqv2.hpp"

using namespace halftone;

namespace {

Matrix<float> random_numbers(Index rows, Index cols, std::uint64_t seed, double scale) {
  Random random(seed);
  Matrix<float> values(rows, cols);
  for (Index i = 0; i < values.size(); ++i) values.data()[i] = static_cast<float>(scale * random.normal());
  return values;
}

/// relu(X Wᵀ).
Matrix<float> layer(const Context<Cpu>& context, const Matrix<float>& X, const Matrix<float>& W) {
  Matrix<float> Y(X.rows(), W.rows());
  gemm<float>(context, Transpose::No, Transpose::Yes, 1, X.view(), W.view(), 0, Y.view());
  for (Index i = 0; i < Y.size(); ++i) Y.data()[i] = Y.data()[i] > 0 ? Y.data()[i] : 0;
  return Y;
}

double distance(const Matrix<float>& A, const Matrix<float>& B) {
  double error = 0, reference = 0;
  for (Index i = 0; i < A.size(); ++i) {
    error += double{A.data()[i] - B.data()[i]} * (A.data()[i] - B.data()[i]);
    reference += double{B.data()[i]} * B.data()[i];
  }
  return error / reference;
}

}  // namespace

int main() {
  const Context<Cpu> context;
  const Matrix<float> X = random_numbers(1024, 96, 1, 1);  // calibration inputs [tokens, in]
  const Matrix<float> W1 = random_numbers(160, 96, 2, 0.1), W2 = random_numbers(64, 160, 3, 0.1);

  GptqV2Options options;
  options.grid.bits = 3;
  options.grid.group_size = 32;
  const GptqV2Solver<float, Cpu> solver(context, options);

  // Two streams: what the full-precision model computes, and what the quantised one does.
  Matrix<float> full(X), quantised(X);
  for (const Matrix<float>* W : {&W1, &W2}) {
    InputStatistics<float> statistics(context, W->cols(), solver.moments());
    statistics.add(quantised.view(), full.view());
    const QuantizedMatrix result = solver.quantize(W->view(), solver.prepare(statistics));
    full = layer(context, full, *W);
    quantised = layer(context, quantised, dequantize(result));
    std::printf("%3lld x %3lld: %.3f bits a weight, outputs %.4f away from the full-precision stream\n",
                static_cast<long long>(W->rows()), static_cast<long long>(W->cols()),
                static_cast<double>(stored_bits(result)) / static_cast<double>(W->size()), distance(quantised, full));
  }
  return distance(quantised, full) < 0.2 ? 0 : 1;
}
