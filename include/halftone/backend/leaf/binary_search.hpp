// Leaf kernels: scores of all candidates for a binary-coded grid (quant/binary_candidates.hpp has the formula).
#pragma once

#include "halftone/backend/leaf/lanes.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// See BinaryKernels::ramps.
inline void fill_ramps(const RampTable& table, double unit, Index n, const double* w, const double* weight,
                       const double* moment, double* HALFTONE_RESTRICT ramps) {
  constexpr Index run = 8;  // ramps with no weight between them, for vectors
  Index j = 0;
  for (Index i = 0; i < table.size;) {
    const Index last = i + run <= table.size ? i + run - 1 : table.size - 1;
    while (j < n && w[j] <= unit * table.cut[i]) ++j;
    if (last == i + run - 1 && (j == n || unit * table.cut[last] < w[j])) {
      double value[run];
      for (Index l = 0; l < run; ++l) value[l] = unit * table.middle[i + l] * weight[j] - moment[j];
      for (Index l = 0; l < run; ++l) ramps[table.slot[i + l]] += value[l];
      i += run;
    } else {
      for (; i <= last; ++i) {
        while (j < n && w[j] <= unit * table.cut[i]) ++j;
        ramps[table.slot[i]] += unit * table.middle[i] * weight[j] - moment[j];
      }
    }
  }
}

/// Scores of one candidate shape on a register of lanes.
template <Index Terms>
HALFTONE_HOST_DEVICE Vector<double> score_lanes(const std::int32_t* row, const double* gap, const double* ramps,
                                                const double* base, const double* slope, Index lane) {
  Vector<double> sum = gap[0] * vector_at(ramps + row[0] * candidate_lanes + lane).v;
  for (Index t = 1; t < Terms; ++t) sum += gap[t] * vector_at(ramps + row[t] * candidate_lanes + lane).v;
  return vector_at(base + lane).v - vector_at(slope + lane).v * sum;
}

template <Index Terms>
HALFTONE_HOST_DEVICE void score_shape(const ShapeTable& table, Index shape, const double* ramps, const double* base,
                                      const double* slope, double* scores) {
  for (Index lane = 0; lane < candidate_lanes; lane += vector_lanes<double>)
    vector_at(scores + lane).v =
        score_lanes<Terms>(table.row + shape * Terms, table.gap + shape * Terms, ramps, base, slope, lane);
}

template <Index Terms>
HALFTONE_HOST_DEVICE void score_shapes(const ShapeTable& table, const double* ramps, const double* base,
                                       const double* slope, double* minima) {
  constexpr Index step = vector_lanes<double>;
  for (Index shape = 0; shape < table.size; ++shape) {
    const std::int32_t* const row = table.row + shape * Terms;
    const double* const gap = table.gap + shape * Terms;
    Vector<double> least = score_lanes<Terms>(row, gap, ramps, base, slope, 0);
    for (Index lane = step; lane < candidate_lanes; lane += step) {
      const Vector<double> score = score_lanes<Terms>(row, gap, ramps, base, slope, lane);
      least = score < least ? score : least;
    }
    double smallest = least[0];
    for (Index l = 1; l < step; ++l) smallest = least[l] < smallest ? least[l] : smallest;
    minima[shape] = smallest;
  }
}

/// See BinaryKernels::minima.
inline void find_minima(const ShapeTable& table, const double* ramps, const double* base, const double* slope,
                        double* minima) {
  if (table.terms == 2)
    score_shapes<2>(table, ramps, base, slope, minima);
  else if (table.terms == 4)
    score_shapes<4>(table, ramps, base, slope, minima);
  else
    score_shapes<8>(table, ramps, base, slope, minima);
}

/// See BinaryKernels::scores.
inline void find_scores(const ShapeTable& table, Index shape, const double* ramps, const double* base,
                        const double* slope, double* scores) {
  if (table.terms == 2)
    score_shape<2>(table, shape, ramps, base, slope, scores);
  else if (table.terms == 4)
    score_shape<4>(table, shape, ramps, base, slope, scores);
  else
    score_shape<8>(table, shape, ramps, base, slope, scores);
}

}  // namespace halftone::detail::HALFTONE_LEAF
