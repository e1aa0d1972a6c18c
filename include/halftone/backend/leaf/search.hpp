// Leaf kernel: tabu search over the codes of one row in a block of columns (Glover, "Tabu Search", 1989, with the
// one-move neighbourhood that is usual for binary quadratic programs).
//
// A move takes one code to the level next to it. The best move that is allowed is always made, also where it raises the
// objective; a column that moved rests for a while, unless moving it gives the best objective yet. What remains is the
// best state on the way. Columns are the vector lanes; the least cost and, of equal ones, the first column is chosen,
// so that the width of a vector changes no choice.
#pragma once

#include "halftone/backend/leaf/descend.hpp"
#include "halftone/core/float16.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// The levels of one row, ascending: uniform grids.
template <class S>
struct UniformLevels {
  using Cells = UniformCells<S>;
  const Cells& cells;
  Index row;

  HALFTONE_HOST_DEVICE Index group_of(Index column) const { return cells.group_of_position[column]; }
  HALFTONE_HOST_DEVICE Index count() const { return static_cast<Index>(cells.top) + 1; }
  HALFTONE_HOST_DEVICE S value(Index group, Index level) const {
    return decode(static_cast<S>(level), cells.scales(group, row), cells.zeros(group, row));
  }
  HALFTONE_HOST_DEVICE Index level_of(Index, std::uint8_t code) const { return code; }
  HALFTONE_HOST_DEVICE std::uint8_t code(Index, Index level) const { return static_cast<std::uint8_t>(level); }
};

/// Binary-coded grids.
template <class S>
struct BinaryLevels {
  using Cells = BinaryCells<S>;
  const Cells& cells;
  Index row;

  HALFTONE_HOST_DEVICE Index group_of(Index column) const { return cells.group_of_position[column]; }
  HALFTONE_HOST_DEVICE Index count() const { return Index{1} << cells.bits; }
  HALFTONE_HOST_DEVICE S value(Index group, Index level) const {
    return cells.levels((group << cells.bits) + level, row);
  }
  HALFTONE_HOST_DEVICE Index level_of(Index group, std::uint8_t wanted) const {
    Index level = 0;
    while (level + 1 < count() && code(group, level) != wanted) ++level;
    return level;
  }
  HALFTONE_HOST_DEVICE std::uint8_t code(Index group, Index level) const {
    return cells.codes((group << cells.bits) + level, row);
  }
};

/// State of the search in one row, [padded] each: a move up changes the objective by up · gradient + up_cost, with
/// up = 2 · step and up_cost = H_tt · step²; likewise down. Columns past the last one can move nowhere.
template <class S>
struct SearchRow {
  S *gradient, *up, *up_cost, *down, *down_cost, *rests_until, *level;
  S* path;  ///< [steps] 2 · column, one more for a move up
};

template <class S>
inline constexpr S no_move = static_cast<S>(__builtin_inff());

/// Costs of moving column t from its present level.
template <class S, class Levels>
HALFTONE_HOST_DEVICE void set_moves(const RefineBlock<S>& block, const Levels& levels, Index t,
                                    const SearchRow<S>& at) {
  const Index group = levels.group_of(block.columns[t]), level = static_cast<Index>(at.level[t]);
  const S h = block.H[t * block.ldh + t], here = levels.value(group, level);
  const bool highest = level + 1 >= levels.count(), lowest = level <= 0;
  const S up = highest ? S(0) : levels.value(group, level + 1) - here;
  const S down = lowest ? S(0) : levels.value(group, level - 1) - here;
  at.up[t] = S(2) * up;
  at.up_cost[t] = highest ? no_move<S> : h * up * up;
  at.down[t] = S(2) * down;
  at.down_cost[t] = lowest ? no_move<S> : h * down * down;
}

template <class S, class Levels>
HALFTONE_HOST_DEVICE void load_search(const RefineBlock<S>& block, const Levels& levels, Index row, Index padded,
                                      const SearchRow<S>& at) {
  for (Index t = 0; t < block.width; ++t) {
    const Index column = block.columns[t];
    at.gradient[t] = block.G[row * block.ldg + column];
    at.level[t] = static_cast<S>(levels.level_of(levels.group_of(column), block.codes[row * block.ldcodes + column]));
    at.rests_until[t] = S(0);
    set_moves(block, levels, t, at);
  }
  for (Index t = block.width; t < padded; ++t) {
    at.gradient[t] = at.up[t] = at.down[t] = at.rests_until[t] = S(0);
    at.up_cost[t] = at.down_cost[t] = no_move<S>;
  }
}

/// The allowed column whose move costs least; −1 if none is allowed. `wanted`: a cost below it is always allowed.
template <class S>
HALFTONE_HOST_DEVICE Index cheapest_move(const SearchRow<S>& at, Index padded, S now, S wanted) {
  constexpr Index lanes = vector_lanes<S>;
  Vector<S> best = Vector<S>{} + no_move<S>, where = Vector<S>{}, here = Vector<S>{};
  for (Index l = 0; l < lanes; ++l) here[l] = static_cast<S>(l);
  for (Index t = 0; t < padded; t += lanes) {
    const Vector<S> gradient = vector_at(at.gradient + t).v;
    const Vector<S> up = vector_at(at.up + t).v * gradient + vector_at(at.up_cost + t).v;
    const Vector<S> down = vector_at(at.down + t).v * gradient + vector_at(at.down_cost + t).v;
    const Vector<S> cost = up < down ? up : down;
    const auto taken = ((vector_at(at.rests_until + t).v <= now) | (cost < wanted)) & (cost < best);
    best = taken ? cost : best;
    where = taken ? here : where;
    here += static_cast<S>(lanes);
  }
  S least = no_move<S>, first = S(-1);
  for (Index l = 0; l < lanes; ++l) {
    const bool better = best[l] < least || (best[l] == least && where[l] < first);
    least = better ? best[l] : least;
    first = better ? where[l] : first;
  }
  return static_cast<Index>(first);
}

/// Moves one level: path entry `move`.
template <class S, class Levels>
HALFTONE_HOST_DEVICE void make_move(const RefineBlock<S>& block, const Levels& levels, Index t, bool upwards,
                                    Index padded, const SearchRow<S>& at) {
  const S step = S(0.5) * (upwards ? at.up[t] : at.down[t]);
  const S* const h = block.H + t * block.ldh;
  for (Index c = 0; c < padded; c += vector_lanes<S>) vector_at(at.gradient + c).v += step * vector_at(h + c).v;
  at.level[t] += upwards ? S(1) : S(-1);
  set_moves(block, levels, t, at);
}

/// Searches one row. Returns the length of the path to its best state, 0 where the row is that.
template <class S, class Levels>
HALFTONE_HOST_DEVICE Index search_row(const RefineBlock<S>& block, const SearchLimits& limits, const Levels& levels,
                                      Index padded, const SearchRow<S>& at) {
  constexpr S rounding = sizeof(S) == sizeof(float) ? S(0x1p-21) : S(0x1p-50);  // of the sum of all costs so far
  S objective = 0, lowest = 0, walked = 0;                                      // objective: change since the start
  Index best = 0;
  for (Index step = 0; step < limits.steps && step - best < limits.patience; ++step) {
    const S now = static_cast<S>(step);
    const Index t = cheapest_move(at, padded, now, lowest - objective - rounding * walked);
    if (t < 0) {
      at.path[step] = S(-1);  // everything rests
      continue;
    }
    const S up = at.up[t] * at.gradient[t] + at.up_cost[t], down = at.down[t] * at.gradient[t] + at.down_cost[t];
    const bool upwards = up <= down;
    const S cost = upwards ? up : down;
    make_move(block, levels, t, upwards, padded, at);
    at.path[step] = static_cast<S>(2 * t + (upwards ? 1 : 0));
    at.rests_until[t] = static_cast<S>(step + 1 + limits.rest);
    objective += cost;
    walked += cost < S(0) ? -cost : cost;
    if (objective < lowest - rounding * walked) {
      lowest = objective;
      best = step + 1;
    }
  }
  return best;
}

/// Walks the first `length` moves of the path from the row's codes, and writes back what changed. Returns how many.
template <class S, class Levels>
HALFTONE_HOST_DEVICE Index store_search(const RefineBlock<S>& block, const Levels& levels, Index row, Index length,
                                        const SearchRow<S>& at) {
  S* const error = block.E + row * block.lde;
  for (Index t = 0; t < block.width; ++t) {
    const Index column = block.columns[t];
    at.level[t] = static_cast<S>(levels.level_of(levels.group_of(column), block.codes[row * block.ldcodes + column]));
    error[t] = S(0);
  }
  for (Index step = 0; step < length; ++step) {
    if (at.path[step] < S(0)) continue;
    const Index move = static_cast<Index>(at.path[step]);
    at.level[move / 2] += move % 2 != 0 ? S(1) : S(-1);
  }
  Index changed = 0;
  for (Index t = 0; t < block.width && length > 0; ++t) {
    const Index column = block.columns[t], group = levels.group_of(column);
    const std::uint8_t code = levels.code(group, static_cast<Index>(at.level[t]));
    if (code == block.codes[row * block.ldcodes + column]) continue;
    S& value = block.Q[row * block.ldq + column];
    const S moved = levels.value(group, static_cast<Index>(at.level[t]));
    error[t] = value - moved;
    value = moved;
    block.codes[row * block.ldcodes + column] = code;
    ++changed;
  }
  return changed;
}

template <class S, class Levels>
HALFTONE_HOST_DEVICE Index search_rows(const RefineBlock<S>& block, const typename Levels::Cells& cells,
                                       const SearchLimits& limits, Index rows, S* workspace) {
  const Index padded = block.ldh;
  SearchRow<S> at{};
  S** const arrays[] = {&at.gradient,  &at.up,          &at.up_cost, &at.down,
                        &at.down_cost, &at.rests_until, &at.level,   &at.path};
  for (S** array : arrays) {
    *array = workspace;
    workspace += padded;
  }
  Index changed = 0;
  for (Index row = 0; row < rows; ++row) {
    const Levels levels{cells, row};
    load_search(block, levels, row, padded, at);
    changed += store_search(block, levels, row, search_row(block, limits, levels, padded, at), at);
  }
  return changed;
}

/// See RefineKernels::search.
template <class S>
Index search(const RefineBlock<S>& block, const UniformCells<S>& cells, const SearchLimits& limits, Index rows,
             S* workspace) {
  return search_rows<S, UniformLevels<S>>(block, cells, limits, rows, workspace);
}

/// See RefineKernels::search_binary.
template <class S>
Index search_binary(const RefineBlock<S>& block, const BinaryCells<S>& cells, const SearchLimits& limits, Index rows,
                    S* workspace) {
  return search_rows<S, BinaryLevels<S>>(block, cells, limits, rows, workspace);
}

}  // namespace halftone::detail::HALFTONE_LEAF
