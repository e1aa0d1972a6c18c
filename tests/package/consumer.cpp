// A program of a user: quantises one layer with GPTQ and checks what came out. Built header-only, against the installed
// library, and with Halftone as a subdirectory.
#include <cmath>
#include <cstdio>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/random.hpp"
#include "halftone/solver/gptq.hpp"
#include "halftone/solver/rtn.hpp"

#ifdef HALFTONE_COMPILED
#include "halftone/format/format.hpp"
#include "halftone/solver/quantizer.hpp"
#endif

using namespace halftone;

namespace {

constexpr Index out = 24, in = 40, tokens = 200;

/// ‖X (Q − W)ᵀ‖² / ‖X Wᵀ‖², from the codes alone.
double output_error(const QuantizedMatrix& q, const Matrix<float>& W, const Matrix<float>& X) {
  double error = 0, reference = 0;
  for (Index t = 0; t < tokens; ++t) {
    for (Index o = 0; o < out; ++o) {
      double difference = 0, value = 0;
      for (Index i = 0; i < in; ++i) {
        const Index group = q.group_of(i);
        const double decoded = q.uniform().scales(o, group) * (double{1} * q.codes(o, i) - q.uniform().zeros(o, group));
        difference += X(t, i) * (decoded - W(o, i));
        value += double{X(t, i)} * W(o, i);
      }
      error += difference * difference;
      reference += value * value;
    }
  }
  return error / reference;
}

bool check(bool good, const char* what) {
  if (!good) std::printf("failed: %s\n", what);
  return good;
}

}  // namespace

int main() {
  Random random(1);
  Matrix<float> W(out, in), X(tokens, in);
  for (Index i = 0; i < W.size(); ++i) W.data()[i] = static_cast<float>(random.normal());
  for (Index t = 0; t < tokens; ++t) {
    const double common = random.normal();  // inputs that move together are what GPTQ makes use of
    for (Index i = 0; i < in; ++i) X(t, i) = static_cast<float>(common + random.normal());
  }

  const Context<Cpu> context(2);
  InputStatistics<float, Cpu> statistics(context, in, Moments::Second);
  statistics.add(X.view());
  const GridOptions grid{.bits = 3, .group_size = 20};
  GptqOptions options;
  options.grid = grid;
  const GptqSolver<float, Cpu> gptq(context, options);
  const RtnSolver<float, Cpu> rtn(context, RtnOptions{.grid = grid});
  const QuantizedMatrix diffused = gptq.quantize(W.view(), gptq.prepare(statistics));
  const QuantizedMatrix rounded = rtn.quantize(W.view(), rtn.prepare(statistics));

  const double error = output_error(diffused, W, X), plain = output_error(rounded, W, X);
  std::printf("relative output error: gptq %.4f, rtn %.4f\n", error, plain);
  bool good = check(error < 0.8 * plain, "gptq is better than rounding");
  good &= check(std::abs(error - diffused.report.relative_error) < 1e-3 * error, "the report tells the error");
#ifdef HALFTONE_COMPILED
  const auto quantizer = make_quantizer(context, "gptq", {{"bits", "3"}, {"group_size", "20"}});
  good &= check(same_codes(quantizer->quantize(W.view(), statistics), diffused), "the registry gives the same codes");
  good &= check(find_format("gptq").name() == "gptq", "formats are there");
#endif
  return good ? 0 : 1;
}
