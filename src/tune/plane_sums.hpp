// Σ g b_i over the columns of a run, b_i = ±1 the sign of plane i: the gradients of the planes of a binary-coded grid.
#pragma once

#include "tune/cells.hpp"
#include "tune/columns.hpp"
#include "tune/parameters.hpp"

namespace halftone::tune {

/// One lane's share of the sums: slot i < bits of plane i, slot max_planes of all. A lane that has the row to itself
/// first adds up the columns of each code; lanes of a device keep a sum a plane, in registers.
template <class Team, class Run, class Lanes>
HALFTONE_HOST_DEVICE void sum_planes(const Run& run, int lane, int bits, const std::uint8_t* codes, const float* dW,
                                     Lanes& sums) {
  double planes[max_planes] = {}, all = 0;
  if constexpr (Team::size == 1) {
    double of_code[1 << max_planes];
    for (int code = 0; code < 1 << bits; ++code) of_code[code] = 0;
    for (Index k = 0; k < run.count; ++k) of_code[codes[run[k]]] += static_cast<double>(dW[run[k]]);
    for (int code = 0; code < 1 << bits; ++code) {
      all += of_code[code];
      for (int i = 0; i < bits; ++i) planes[i] += (code >> i & 1) != 0 ? of_code[code] : -of_code[code];
    }
  } else {
    for (Index k = lane; k < run.count; k += Team::size) {
      const double g = static_cast<double>(dW[run[k]]);
      const unsigned code = codes[run[k]];
      all += g;
      for (int i = 0; i < max_planes; ++i)
        if (i < bits) planes[i] += (code >> i & 1u) != 0 ? g : -g;
    }
  }
  for (int i = 0; i < max_planes; ++i)
    if (i < bits) sums(i, lane) = planes[i];
  sums(max_planes, lane) = all;
}

}  // namespace halftone::tune
