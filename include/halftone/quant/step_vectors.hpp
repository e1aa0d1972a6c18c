// Step vectors: the shapes of binary-coded grids (GPTQT, arXiv 2407.02891; the definition is in docs).
//
// Step 1 of GPTQT rounds to integers t = 0 .. N, N = 2^n − 1. Step 2 keeps of them the 2^k subset sums
// { Σ d_i e_i : e in {0,1}^k } of a step vector d of positive integers with Σ d_i = N. Base and width of the levels are
// free through zero and scale, so the partitions of N into k parts are all shapes there are. Merged, exactly:
//   S (Σ d_i e_i − z) = Σ α_i s_i + β,   e_i = (1 + s_i)/2,   α_i = S d_i / 2,   β = S (N/2 − z).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "halftone/core/platform.hpp"
#include "halftone/quant/binary_grid.hpp"

namespace halftone {

/// Planes that a step vector may have.
inline constexpr int max_steps = 4;

/// d, largest first; unused places are 0.
using StepVector = std::array<std::uint8_t, max_steps>;

/// 2^n − 1, the largest integer of step 1.
constexpr int step_total(int step1_bits) { return (1 << step1_bits) - 1; }

/// Every step vector of 2^n − 1 into k steps, by growing first step, then second, ...
inline std::vector<StepVector> all_step_vectors(int step1_bits, int k) {
  std::vector<StepVector> shapes;
  const int total = step_total(step1_bits);
  for (int a = 1; a <= total; ++a)
    for (int b = 0; b <= a; ++b)
      for (int c = 0; c <= b; ++c) {
        const int d = total - a - b - c, steps = 1 + (b > 0) + (c > 0) + (d > 0);
        if (d < 0 || d > c || steps != k) continue;
        const auto byte = [](int step) { return static_cast<std::uint8_t>(step); };
        shapes.push_back({byte(a), byte(b), byte(c), byte(d)});
      }
  return shapes;
}

/// Ten step vectors that together come closest to trying all: chosen greedily, by the mean logarithm of the error that
/// a row is left with, on 8500 rows and groups of the weights of three small Llama models and of synthetic ones with
/// and without outlier channels. What they lose against all shapes there: at k = 2 0.0 % (n = 5) and 0.3 % (6); at k =
/// 3 0.1, 1.2 and 3.5 % (n = 4, 5, 6); at k = 4 1.8 and 6.4 % (n = 5, 6). Where there are ten or fewer they are all
/// there are; where n = k one has every integer as a level, and is the only one.
inline std::vector<StepVector> fast_step_vectors(int step1_bits, int k) {
  if (k == 2 && step1_bits == 5)
    return {{17, 14}, {18, 13}, {19, 12}, {20, 11}, {21, 10}, {22, 9}, {23, 8}, {24, 7}, {25, 6}, {27, 4}};
  if (k == 2 && step1_bits == 6)
    return {{35, 28}, {38, 25}, {39, 24}, {40, 23}, {41, 22}, {42, 21}, {43, 20}, {45, 18}, {47, 16}, {51, 12}};
  if (k == 3 && step1_bits == 4)
    return {{6, 5, 4}, {6, 6, 3}, {7, 5, 3}, {7, 6, 2}, {8, 4, 3},
            {8, 5, 2}, {8, 6, 1}, {9, 4, 2}, {9, 5, 1}, {10, 4, 1}};
  if (k == 3 && step1_bits == 5)
    return {{13, 10, 8}, {13, 11, 7}, {14, 10, 7}, {14, 11, 6}, {15, 11, 5},
            {17, 9, 5},  {17, 10, 4}, {18, 8, 5},  {18, 9, 4},  {18, 11, 2}};
  if (k == 3 && step1_bits == 6)
    return {{27, 21, 15}, {28, 21, 14}, {28, 22, 13}, {29, 21, 13}, {29, 22, 12},
            {33, 23, 7},  {35, 19, 9},  {36, 18, 9},  {37, 15, 11}, {38, 17, 8}};
  if (k == 4 && step1_bits == 4) return {{8, 4, 2, 1}};
  if (k == 4 && step1_bits == 5)
    return {{10, 9, 7, 5}, {12, 9, 6, 4},  {12, 10, 6, 3}, {12, 11, 5, 3}, {13, 8, 6, 4},
            {13, 8, 7, 3}, {13, 10, 6, 2}, {14, 10, 5, 2}, {16, 9, 4, 2},  {17, 8, 4, 2}};
  if (k == 4 && step1_bits == 6)
    return {{21, 17, 14, 11}, {21, 18, 14, 10}, {21, 18, 15, 9}, {24, 21, 12, 6}, {26, 17, 13, 7},
            {27, 17, 13, 6},  {28, 20, 10, 5},  {29, 15, 11, 8}, {30, 15, 11, 7}, {34, 17, 8, 4}};
  return all_step_vectors(step1_bits, k);
}

/// The subset sums of d, ascending: sums[2^k].
inline void subset_sums(const StepVector& d, int k, int* sums) {
  for (int subset = 0; subset < 1 << k; ++subset) {
    sums[subset] = 0;
    for (int i = 0; i < k; ++i) sums[subset] += (subset >> i & 1) * d[static_cast<std::size_t>(i)];
  }
  std::sort(sums, sums + (1 << k));
}

/// α of a step and β of a zero point: exact in double for S of at most 47 bits.
HALFTONE_HOST_DEVICE double merged_alpha(double scale, int step) { return 0.5 * (scale * step); }
HALFTONE_HOST_DEVICE double merged_bias(double scale, double zero, int total) { return scale * (0.5 * total - zero); }

}  // namespace halftone
