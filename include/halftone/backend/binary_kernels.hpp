// Leaf kernels of binary-coded grids, and the tables that they read. See cpu_kernels.hpp for the rules.
#pragma once

#include <cstdint>

#include "halftone/core/view.hpp"

namespace halftone::detail {

/// Lanes of candidates (quant/binary_candidates.hpp), padded to whole registers.
inline constexpr Index candidate_lanes = 96;

/// Values of the ramp G that a row needs, by ascending threshold; cut and middle in steps of S0.
struct RampTable {
  Index size;
  const double *cut, *middle;  ///< [size] Σ runs over w <= cut · S0 of ω (middle · S0 − w)
  const std::int32_t* slot;    ///< [size] where it is added in the table of ramps [rows, candidate_lanes]
};

/// Step vectors as sums over rows of the table of ramps.
struct ShapeTable {
  Index size;
  int terms;                ///< 2, 4 or 8 products a shape
  const std::int32_t* row;  ///< [size, terms]
  const double* gap;        ///< [size, terms]
};

struct BinaryKernels {
  /// Adds the ramps of one row of weights w [n], ascending, to ramps [rows, candidate_lanes]. weight, moment [n + 1]:
  /// sums of ω and ω·w over the first j weights. unit: S0.
  void (*ramps)(const RampTable& table, double unit, Index n, const double* w, const double* weight,
                const double* moment, double* ramps);

  /// Scores base − slope · Σ gap · ramps of `table`'s shapes: minima [shapes], each over all lanes. base, slope
  /// [candidate_lanes]; infinite base: a lane without a candidate.
  void (*minima)(const ShapeTable& table, const double* ramps, const double* base, const double* slope, double* minima);

  /// The scores of one shape: scores [candidate_lanes].
  void (*scores)(const ShapeTable& table, Index shape, const double* ramps, const double* base, const double* slope,
                 double* scores);
};

}  // namespace halftone::detail
