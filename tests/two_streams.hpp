// Statistics of two streams, for every method alike.
#pragma once

#include "halftone/quant/statistics.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

/// Everything that any method may ask for, of inputs that the full-precision stream's differ from by a twentieth. A
/// quarter of the tokens is held out. `dead`: an input that is 0 for all tokens; negative: none.
inline InputStatistics<float> full_statistics(const Context<Cpu>& context, Index width, Index tokens,
                                              std::uint64_t seed, Index dead = -1) {
  InputStatistics<float> statistics(context, width, Moments::HeldOut);
  Matrix<float> X = random_inputs<float>(tokens, width, seed);
  for (Index t = 0; t < tokens && dead >= 0; ++t) X(t, dead) = 0;
  Matrix<float> X_fp = X;
  Random random(seed);
  for (Index i = 0; i < X_fp.size(); ++i) X_fp.data()[i] *= static_cast<float>(1 + 0.05 * random.normal());
  const Index learnt = tokens - tokens / 4;
  statistics.add(X.view().middle_rows(0, learnt), X_fp.view().middle_rows(0, learnt));
  statistics.add_held_out(X.view().middle_rows(learnt, tokens - learnt),
                          X_fp.view().middle_rows(learnt, tokens - learnt));
  return statistics;
}

}  // namespace halftone::test
