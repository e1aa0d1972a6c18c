// Seeded test matrices.
#pragma once

#include "halftone/core/matrix.hpp"
#include "halftone/core/random.hpp"

namespace halftone::test {

/// Normal numbers of the given spread.
template <class S>
Matrix<S> random_matrix(Index rows, Index cols, std::uint64_t seed, double spread = 1) {
  Random random(seed);
  Matrix<S> matrix(rows, cols);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < cols; ++j) matrix(i, j) = static_cast<S>(spread * random.normal());
  return matrix;
}

/// Inputs as layers see them: [tokens, width], correlated channels of very different loudness.
template <class S>
Matrix<S> random_inputs(Index tokens, Index width, std::uint64_t seed) {
  Random random(seed);
  const Matrix<double> mix = random_matrix<double>(width, width, seed + 1, 0.3);
  Matrix<S> inputs(tokens, width);
  for (Index t = 0; t < tokens; ++t) {
    Matrix<double> source(1, width);
    for (Index j = 0; j < width; ++j) source(0, j) = random.normal();
    for (Index j = 0; j < width; ++j) {
      double value = source(0, j);
      for (Index i = 0; i < width; ++i) value += source(0, i) * mix(i, j);
      inputs(t, j) =
          static_cast<S>(value * (1 + 4.0 * static_cast<double>(j * 7 % width) / static_cast<double>(width)));
    }
  }
  return inputs;
}

}  // namespace halftone::test
