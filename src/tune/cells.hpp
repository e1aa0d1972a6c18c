// Cells of a grid, and loops of a team along a run of columns.
#pragma once

#include "halftone/quant/binary_grid.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone::tune {

/// How far inside a cell latent numbers start at least, in steps of the grid: more than rounding in float moves them.
inline constexpr float cell_margin = 0x1p-10f;

/// x where it lies between the bounds, else the nearer one; NaN stays.
HALFTONE_HOST_DEVICE float bounded(float x, float low, float high) { return x < low ? low : high < x ? high : x; }

/// The number nearest to `latent` in the cell of the integer `code`, code ± 1/2, at least `margin` (0 .. 1/2) and
/// cell_margin from its edges.
HALFTONE_HOST_DEVICE float into_cell(float latent, float code, float margin) {
  const float reach = 0.5f - (margin < cell_margin ? cell_margin : margin);
  return bounded(latent, code - reach, code + reach);
}

/// The code that a latent number means: the nearest integer in 0 .. top, halves to even.
HALFTONE_HOST_DEVICE float nearest_code(float latent, float top) {
  const float code = round_half_even(latent);
  return code < 0 ? 0 : code > top ? top : code;
}

/// W / s as encode() takes it: what lies further out than any code can is cut, so that float holds fractions.
HALFTONE_HOST_DEVICE float in_steps(float weight, float scale) { return bounded(weight / scale, -1024.0f, 1024.0f); }

/// The number nearest to `steps` that encode()'s rounding takes to `code`: itself where it does already, which
/// outermost codes do from any distance.
HALFTONE_HOST_DEVICE float start_in_cell(float steps, float zero, float top, float code, float margin) {
  const float rounded = bounded(round_half_even(steps) + zero, 0.0f, top);
  return rounded == code ? steps : into_cell(steps, code - zero, margin);
}

HALFTONE_HOST_DEVICE std::uint8_t to_code(float code) { return static_cast<std::uint8_t>(static_cast<int>(code)); }

/// body(column) for every column of a run, each by one lane.
template <class Team, class Run, class Body>
HALFTONE_HOST_DEVICE void each_column(const Team& team, const Run& run, Body&& body) {
  team.each_lane([&](int lane) {
    const Index count = run.count;
    for (Index k = lane; k < count; k += Team::size) body(run[k]);
  });
}

/// The sum of a slot of all lanes, for all.
template <class Team, class Lanes>
HALFTONE_HOST_DEVICE double fold_sum(const Team& team, const Lanes& sums, int slot) {
  return team.fold(sums, slot, [](double a, double b) { return a + b; });
}

/// Σ term(column) over a run, for all lanes.
template <class Team, class Run, class Term>
HALFTONE_HOST_DEVICE double run_sum(const Team& team, const Run& run, Term&& term) {
  typename Team::template Lanes<double> sum;
  team.each_lane([&](int lane) {
    double own = 0;
    const Index count = run.count;
    for (Index k = lane; k < count; k += Team::size) own += term(run[k]);
    sum(0, lane) = own;
  });
  return fold_sum(team, sum, 0);
}

/// Does `store` on one lane.
template <class Team, class Store>
HALFTONE_HOST_DEVICE void by_one(const Team& team, Store&& store) {
  team.each_lane([&](int lane) {
    if (lane == 0) store();
  });
}

}  // namespace halftone::tune
