// Layers to start from, and parameters by name.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>  // memcmp

#include "error_text.hpp"
#include "halftone/solver/quantizer.hpp"
#include "halftone/tune/options.hpp"
#include "random_matrix.hpp"

namespace halftone::test {

inline constexpr TrainableKind all_kinds[] = {TrainableKind::SignRound, TrainableKind::Latent, TrainableKind::Lsq,
                                              TrainableKind::Scales};

/// What a solver makes of W, with statistics of everything that any may ask for.
inline QuantizedMatrix solved(const Context<Cpu>& context, std::string_view method, const OptionMap& options,
                              const Matrix<float>& W, std::uint64_t seed = 5) {
  InputStatistics<float> statistics(context, W.cols(), Moments::HeldOut);
  const Matrix<float> X = random_inputs<float>(2 * W.cols() + 8, W.cols(), seed);
  Matrix<float> X_fp = X;
  Random random(seed);
  for (Index i = 0; i < X_fp.size(); ++i) X_fp.data()[i] *= static_cast<float>(1 + 0.05 * random.normal());
  statistics.add(X, X_fp);
  statistics.add_held_out(X, X_fp);
  return make_quantizer(context, method, options)->quantize(W, statistics);
}

inline bool is_legal(TrainableKind kind, const QuantizedMatrix& start) {
  return !start.binary_coded() || kind == TrainableKind::Latent || kind == TrainableKind::Scales;
}

inline TrainableOptions options_of(TrainableKind kind, int minimum_zero = 0) {
  TrainableOptions options;
  options.kind = kind;
  options.minimum_zero = minimum_zero;
  return options;
}

inline ParameterGroup parameters_of(Trainable& trainable, std::string_view name) {
  for (const ParameterGroup& group : trainable.parameters())
    if (group.name == name) return group;
  FAIL("no parameters named " << name);
  return {};
}

/// Moves every parameter: latent numbers by about a step, those of grids by a tenth.
inline void disturb(Trainable& trainable, std::uint64_t seed, double latent = 0.7, double grid = 0.1) {
  Random random(seed);
  for (const ParameterGroup& group : trainable.parameters()) {
    const bool own = group.name == "codes" || group.name == "weights" || group.name == "rounding" ||
                     group.name == "zeros" || group.name == "outliers";
    for (float& value : group.values) value += static_cast<float>((own ? latent : grid) * random.normal());
  }
}

inline Matrix<float> forward(Trainable& trainable) {
  Matrix<float> W(trainable.rows(), trainable.cols(), -1e30f);
  trainable.forward(W);
  return W;
}

inline bool same_bytes(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), sizeof(float) * static_cast<std::size_t>(a.size())) == 0;
}

}  // namespace halftone::test
