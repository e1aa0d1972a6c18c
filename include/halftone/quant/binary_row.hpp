// The binary-coded grid that one candidate of the search (quant/binary_candidates.hpp) gives one row, as it is stored,
// and its exact error. Host-device functions, for both backends.
#pragma once

#include "halftone/quant/step_vectors.hpp"

namespace halftone::detail {

/// The grid of one row.
template <class S>
struct BinaryRow {
  float alphas[max_steps], bias;
  float levels[1 << max_steps];  ///< ascending
  S thresholds[1 << max_steps];
  std::uint8_t codes[1 << max_steps];
};

/// A shape at a scale and a centre.
struct BinaryChoice {
  int bits, total;  ///< k, N
  ScaleType type;
  bool strict;
  const std::uint8_t* steps;  ///< [bits] d
  const int* integers;        ///< [2^bits] t
  double scale, centre;       ///< S, c
};

/// The grid of a choice as it is stored, and as the column loop rounds to it.
template <class S>
HALFTONE_HOST_DEVICE void make_binary_row(const BinaryChoice& choice, BinaryRow<S>& row) {
  const int count = 1 << choice.bits;
  for (int i = 0; i < choice.bits; ++i)
    row.alphas[i] = round_stored(static_cast<float>(merged_alpha(choice.scale, choice.steps[i])), choice.type);
  row.bias = round_stored(static_cast<float>(merged_bias(choice.scale, choice.centre, choice.total)), choice.type);
  ascending_levels(row.alphas, 1, row.bias, choice.bits, row.levels, row.codes);
  for (int m = 0; m + 1 < count; ++m) {
    const int sum = choice.integers[m] + choice.integers[m + 1];
    row.thresholds[m] = choice.strict
                            ? static_cast<S>(choice.scale * (0.5 * sum + (sum % 2 == 0 ? 0.5 : 0.0) - choice.centre))
                            : threshold_between(static_cast<S>(row.levels[m]), static_cast<S>(row.levels[m + 1]));
  }
}

/// Σ ω (x − w) over w <= cut, of n ascending w with the sums of ω and ω·w over the first j of them [n + 1].
HALFTONE_HOST_DEVICE double ramp_of(const double* w, const double* weight, const double* moment, Index n, double cut,
                                    double x) {
  Index first = 0;  // without branches: where a weight stands is as good as random
  for (Index left = n; left > 0;) {
    const Index half = (left + 1) / 2;
    first += w[first + half - 1] <= cut ? half : 0;
    left -= half;
  }
  return x * weight[first] - moment[first];
}

/// Σ ω (q − w)² of all weights rounded to the row's levels: the formula of binary_candidates.hpp. `at_top`: the same
/// sum with every q the highest level.
template <class S, class Ramp>
HALFTONE_HOST_DEVICE double stored_error_of(const BinaryRow<S>& row, int count, double at_top, Ramp&& ramp) {
  double error = at_top;
  for (int m = 0; m + 1 < count; ++m) {
    const double lower = static_cast<double>(row.levels[m]), upper = static_cast<double>(row.levels[m + 1]);
    if (upper > lower)
      error -= 2 * (upper - lower) * ramp(static_cast<double>(row.thresholds[m]), 0.5 * (lower + upper));
  }
  return error;
}

}  // namespace halftone::detail
