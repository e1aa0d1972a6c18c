// Loops over rows and along them, for the primitives that work on whole rows.
#pragma once

#include "halftone/backend/arrange.hpp"

namespace halftone::detail {

/// Calls body(row) for every row of a matrix with `cols` columns, in parallel by units of about `elements` of it.
template <class Body>
void each_row(const Context<Cpu>& context, Index rows, Index cols, Body&& body, Index elements = elements_of_unit) {
  parallel_pieces(context.threads(), rows, rows_of_unit(cols, elements), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) body(r);
  });
}

/// Σ f(j) for j in [0, count) in double, in eight interleaved sums.
template <class Term>
double lane_sum(Index count, Term&& term) {
  constexpr Index lanes = 8;
  double lane[lanes] = {};
  Index j = 0;
  for (; j + lanes <= count; j += lanes)
    for (Index l = 0; l < lanes; ++l) lane[l] += term(j + l);
  for (; j < count; ++j) lane[0] += term(j);
  double sum = 0;
  for (double value : lane) sum += value;
  return sum;
}

}  // namespace halftone::detail
