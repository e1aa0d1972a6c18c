// Moves of codes (refine.hpp) on the device. A team of lanes shares a row; the row's block of up to 128 columns is in
// its registers.
//
// Floor of a pass over a block of width B on m rows: descent m·B² flops and 17·m·B bytes; search up to m·B moves of
// about 10·B operations each, on the same bytes.
#include <algorithm>
#include <cmath>  // llround

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/quant/binary_grid.hpp"
#include "rounders.cuh"

namespace halftone {
namespace {

/// The columns of a block, carried in a kernel's parameters.
struct BlockColumns {
  std::int32_t column[block_columns], group[block_columns];
  std::uint8_t kept[block_columns];
};

/// The matrices of RefinedColumns, all in device memory.
template <class S>
struct RefinedBlock {
  Index width;
  MatrixView<const S> H, G;
  MatrixView<S> Q, E;
  MatrixView<std::uint8_t> codes;
  ScaleType kept_type;
  unsigned long long* moves;  ///< values that moved, of all rows
};

template <class S, class Rounder>
struct DescendRow {
  static constexpr int lanes = 16, slots = static_cast<int>(block_columns) / lanes;
  RefinedBlock<S> block;
  typename Rounder::Cells cells;
  BlockColumns columns;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const int width = static_cast<int>(block.width);
    typename T::template Lanes<S, slots> gradient, value, error;
    typename T::template Lanes<std::uint8_t, slots> codes;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const int t = s * lanes + lane;
        gradient(s, lane) = t < width ? block.G(row, columns.column[t]) : S(0);
        value(s, lane) = t < width ? block.Q(row, columns.column[t]) : S(0);
      }
    });
    Rounder grid;
    int group = columns.group[0], moves = 0;
    grid.load(cells, group, row);
    HALFTONE_UNROLL
    for (int s = 0; s < slots; ++s) {
      for (int l = 0; l < lanes; ++l) {
        const int t = s * lanes + l;
        if (t >= width) break;
        const S h = block.H(t, t), g = team.get(gradient, s, l), q = team.get(value, s, l), w = q - g / h;
        S target;
        std::uint8_t code = 0;
        if (columns.kept[t] != 0) {
          target = round_stored(w, block.kept_type);
        } else {
          if (columns.group[t] != group) grid.load(cells, group = columns.group[t], row);
          target = grid.round(w, code);
        }
        const S step = target - q;
        const bool better = step * (S(2) * g + h * step) < S(0);
        const S lost = better ? -step : S(0);
        moves += better ? 1 : 0;
        team.each_lane([&](int lane) {
          if (lane == l) {
            value(s, lane) = better ? target : q;
            error(s, lane) = lost;
            codes(s, lane) = code;
          }
          HALFTONE_UNROLL
          for (int u = s; u < slots; ++u) {
            const int c = u * lanes + lane;
            if (c > t && c < width) gradient(u, lane) -= lost * block.H(t, c);
          }
        });
      }
    }
    team.each_lane([&](int lane) {
      if (lane == 0 && moves > 0) team.add(block.moves, static_cast<unsigned long long>(moves));
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const int t = s * lanes + lane;
        if (t >= width) continue;
        block.E(row, t) = error(s, lane);
        if (error(s, lane) == S(0)) continue;
        block.Q(row, columns.column[t]) = value(s, lane);
        if (columns.kept[t] == 0) block.codes(row, columns.column[t]) = codes(s, lane);
      }
    });
  }
};

// The levels of one row in one group, ascending.
template <class S>
HALFTONE_HOST_DEVICE int level_count(const UniformCells<S>& cells) {
  return static_cast<int>(cells.top) + 1;
}
template <class S>
HALFTONE_HOST_DEVICE S level_value(const UniformCells<S>& cells, Index group, Index row, int level) {
  return decode(static_cast<S>(level), cells.scales(group, row), cells.zeros(group, row));
}
template <class S>
HALFTONE_HOST_DEVICE std::uint8_t level_code(const UniformCells<S>&, Index, Index, int level) {
  return static_cast<std::uint8_t>(level);
}
template <class S>
HALFTONE_HOST_DEVICE int level_count(const BinaryCells<S>& cells) {
  return 1 << cells.bits;
}
template <class S>
HALFTONE_HOST_DEVICE S level_value(const BinaryCells<S>& cells, Index group, Index row, int level) {
  return cells.levels((group << cells.bits) + level, row);
}
template <class S>
HALFTONE_HOST_DEVICE std::uint8_t level_code(const BinaryCells<S>& cells, Index group, Index row, int level) {
  return cells.codes((group << cells.bits) + level, row);
}
/// The level of a code: the last one where none has it.
template <class Cells>
HALFTONE_HOST_DEVICE int level_of(const Cells& cells, Index group, Index row, std::uint8_t code) {
  int level = 0;
  while (level + 1 < level_count(cells) && level_code(cells, group, row, level) != code) ++level;
  return level;
}

/// An integer that orders as (cost, column) do; cost is no NaN.
HALFTONE_HOST_DEVICE unsigned long long move_key(float cost, int column) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(cost + 0.0f);  // no −0
  const std::uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<unsigned long long>(ordered) << 32 | static_cast<std::uint32_t>(column);
}
/// Of a cost that is infinite: there is no such move.
HALFTONE_HOST_DEVICE bool is_move(unsigned long long key) { return key >> 32 < 0xff800000u; }

/// Tabu search in one row of a block: leaf/search.hpp has the method; here lanes hold the columns, and the best state
/// on the way is remembered itself instead of the path to it.
template <class Cells>
struct SearchRow {
  static constexpr int lanes = 32, slots = static_cast<int>(block_columns) / lanes;
  RefinedBlock<float> block;
  Cells cells;
  BlockColumns columns;
  detail::SearchLimits limits;

  template <class T>
  struct State {
    typename T::template Lanes<float, slots> gradient, up, up_cost, down, down_cost;
    typename T::template Lanes<int, slots> rests_until, level, best_level;
  };

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const int width = static_cast<int>(block.width);
    State<T> at;
    team.each_lane([&](int lane) {
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) load(at, row, s, lane);
    });
    constexpr float rounding = 0x1p-21f;  // of the sum of all costs so far
    float objective = 0, lowest = 0, walked = 0;
    int best = 0;
    for (int step = 0; step < limits.steps && step - best < limits.patience; ++step) {
      const unsigned long long key = cheapest(team, at, step, lowest - objective - rounding * walked);
      if (!is_move(key)) continue;  // everything rests
      const int t = static_cast<int>(key & 0xffffffffu), s = t / lanes, l = t % lanes;
      const float gradient = pick(team, at.gradient, s, l), up = pick(team, at.up, s, l),
                  down = pick(team, at.down, s, l);
      const float up_total = up * gradient + pick(team, at.up_cost, s, l),
                  down_total = down * gradient + pick(team, at.down_cost, s, l);
      const bool upwards = up_total <= down_total;
      const float cost = upwards ? up_total : down_total, moved = 0.5f * (upwards ? up : down);
      objective += cost;
      walked += cost < 0 ? -cost : cost;
      const bool improved = objective < lowest - rounding * walked;
      team.each_lane([&](int lane) {
        HALFTONE_UNROLL
        for (int u = 0; u < slots; ++u) {
          const int c = u * lanes + lane;
          if (c < width) at.gradient(u, lane) += moved * block.H(t, c);
          if (c == t) {
            at.level(u, lane) += upwards ? 1 : -1;
            at.rests_until(u, lane) = step + 1 + static_cast<int>(limits.rest);
            set_moves(at, row, u, lane);
          }
          if (improved) at.best_level(u, lane) = at.level(u, lane);
        }
      });
      if (!improved) continue;
      lowest = objective;
      best = step + 1;
    }
    store(team, at, row);
  }

 private:
  /// What `lane` holds in a slot that is known at run time alone.
  template <class T, class L>
  HALFTONE_HOST_DEVICE static float pick(const T& team, const L& held, int slot, int lane) {
    float value = 0;
    HALFTONE_UNROLL
    for (int s = 0; s < slots; ++s) {
      const float candidate = team.get(held, s, lane);
      value = s == slot ? candidate : value;
    }
    return value;
  }

  /// Costs of moving a lane's column from its present level: up · gradient + up_cost, likewise down.
  template <class A>
  HALFTONE_HOST_DEVICE void set_moves(A& at, Index row, int s, int lane) const {
    const int t = s * lanes + lane, level = at.level(s, lane);
    const Index group = columns.group[t];
    const float infinite = std::numeric_limits<float>::infinity();
    const float h = block.H(t, t), here = level_value(cells, group, row, level);
    const bool highest = level + 1 >= level_count(cells), lowest = level <= 0;
    const float up = highest ? 0.0f : level_value(cells, group, row, level + 1) - here;
    const float down = lowest ? 0.0f : level_value(cells, group, row, level - 1) - here;
    at.up(s, lane) = 2.0f * up;
    at.up_cost(s, lane) = highest ? infinite : h * up * up;
    at.down(s, lane) = 2.0f * down;
    at.down_cost(s, lane) = lowest ? infinite : h * down * down;
  }

  template <class A>
  HALFTONE_HOST_DEVICE void load(A& at, Index row, int s, int lane) const {
    const int t = s * lanes + lane;
    at.gradient(s, lane) = at.up(s, lane) = at.down(s, lane) = 0;
    at.up_cost(s, lane) = at.down_cost(s, lane) = std::numeric_limits<float>::infinity();
    at.rests_until(s, lane) = at.level(s, lane) = at.best_level(s, lane) = 0;
    if (t >= block.width) return;
    at.gradient(s, lane) = block.G(row, columns.column[t]);
    at.level(s, lane) = at.best_level(s, lane) =
        level_of(cells, columns.group[t], row, block.codes(row, columns.column[t]));
    set_moves(at, row, s, lane);
  }

  /// The allowed move of least cost, of equal ones the first column's. A cost below `wanted` is always allowed.
  template <class T, class A>
  HALFTONE_HOST_DEVICE static unsigned long long cheapest(const T& team, const A& at, int step, float wanted) {
    typename T::template Lanes<unsigned long long> key;
    team.each_lane([&](int lane) {
      key(0, lane) = ~0ull;
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const float up = at.up(s, lane) * at.gradient(s, lane) + at.up_cost(s, lane),
                    down = at.down(s, lane) * at.gradient(s, lane) + at.down_cost(s, lane);
        const float cost = up < down ? up : down;
        const unsigned long long own = move_key(cost, s * lanes + lane);
        if ((at.rests_until(s, lane) <= step || cost < wanted) && own < key(0, lane)) key(0, lane) = own;
      }
    });
    return team.fold(key, 0, [](unsigned long long a, unsigned long long b) { return b < a ? b : a; });
  }

  /// Writes back what changed.
  template <class T, class A>
  HALFTONE_HOST_DEVICE void store(const T& team, const A& at, Index row) const {
    team.each_lane([&](int lane) {
      unsigned long long changed = 0;
      HALFTONE_UNROLL
      for (int s = 0; s < slots; ++s) {
        const int t = s * lanes + lane;
        if (t >= block.width) continue;
        const Index column = columns.column[t], group = columns.group[t];
        const std::uint8_t code = level_code(cells, group, row, at.best_level(s, lane));
        block.E(row, t) = 0;
        if (code == block.codes(row, column)) continue;
        const float moved = level_value(cells, group, row, at.best_level(s, lane));
        block.E(row, t) = block.Q(row, column) - moved;
        block.Q(row, column) = moved;
        block.codes(row, column) = code;
        ++changed;
      }
      if (changed > 0) team.add(block.moves, changed);
    });
  }
};

/// Checks a block and runs `launch(block on the device, its columns)`; returns the moves.
template <class S, template <class> class Cells, class Launch>
Index run_block(const char* who, const Context<Cuda>& context, const Cells<S>& cells, const RefinedColumns<S>& block,
                Launch&& launch) {
  const Index rows = block.Q.rows, width = block.width;
  require(width <= block_columns, Status::Unsupported, who, ": a block has ", width,
          " columns, on this backend at most ", block_columns);
  require(block.E.rows == rows && block.E.cols == width && block.H.rows == width && block.H.cols == width &&
              block.G.rows == rows && block.codes.rows == rows && block.codes.cols == block.Q.cols,
          Status::ShapeMismatch, who, ": Q is ", rows, " x ", block.Q.cols, ", E ", block.E.rows, " x ", block.E.cols,
          ", H ", block.H.rows, " x ", block.H.cols, ", wanted as many rows and ", width, " columns");
  if (rows == 0 || width == 0) return 0;
  BlockColumns columns{};
  for (Index t = 0; t < width; ++t) {
    columns.column[t] = block.columns[t];
    columns.group[t] = cells.group_of_position[block.columns[t]];
    columns.kept[t] = block.kept != nullptr ? block.kept[block.columns[t]] : 0;
  }
  auto moves = context.template allocate<unsigned long long>(1, 1);
  set_zero(context, moves.view());
  launch(RefinedBlock<S>{width, block.H, block.G, block.Q, block.E, block.codes, block.kept_type, moves.data()},
         columns);
  return static_cast<Index>(context.download(std::as_const(moves).view())(0, 0));
}

/// sums[row] = Σ_j (Q − T) · G.
template <class S>
struct SumResiduals {
  static constexpr int lanes = 32;
  MatrixView<const S> Q, target, G;
  double* sums;
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const double total = team_sum(team, Q.cols, [&](Index j) {
      return static_cast<double>(Q(row, j) - target(row, j)) * static_cast<double>(G(row, j));
    });
    team.each_lane([&](int lane) {
      if (lane == 0) sums[row] = total;
    });
  }
};

}  // namespace

template <class S, template <class> class Cells>
Index descend_columns(const Context<Cuda>& context, const Cells<S>& cells, const RefinedColumns<S>& block) {
  return run_block("descend_columns", context, cells, block, [&](const auto& there, const BlockColumns& columns) {
    with_rounder(cells, [&](auto rounder) {
      each_row(context, block.Q.rows, DescendRow<S, decltype(rounder)>{there, cells, columns});
    });
  });
}

template <class S, template <class> class Cells>
Index search_columns(const Context<Cuda>& context, const Cells<S>& cells, const RefinedColumns<S>& block,
                     const SearchEffort& effort) {
  const auto share = [&](double of) { return std::max<Index>(1, std::llround(of * static_cast<double>(block.width))); };
  const detail::SearchLimits limits{share(effort.steps), share(effort.patience), effort.rest};
  return run_block("search_columns", context, cells, block, [&](const auto& there, const BlockColumns& columns) {
    each_row(context, block.Q.rows, SearchRow<Cells<S>>{there, cells, columns, limits});
  });
}

template <class S>
void gather_rows(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A, const std::int32_t* rows,
                 MatrixView<S> out) {
  const auto list = context.upload(MatrixView<const std::int32_t>(rows, 1, out.rows));
  const std::int32_t* const row = list.data();
  each_element(
      context, out.rows, out.cols, HALFTONE_LAMBDA(Index i, Index j) { out(i, j) = A(row[i], j); });
}

template <class S>
double residual_product(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> Q,
                        std::type_identity_t<MatrixView<const S>> T, std::type_identity_t<MatrixView<const S>> G) {
  auto sums = context.template allocate<double>(1, Q.rows);
  each_row(context, Q.rows, SumResiduals<S>{Q, T, G, sums.data()});
  const Matrix<double> rows = context.download(std::as_const(sums).view());
  double total = 0;
  for (Index r = 0; r < rows.size(); ++r) total += rows.data()[r];
  return total;
}

template <class S>
void add_scaled_rows(const Context<Cuda>& context, MatrixView<S> A, const S* factors,
                     std::type_identity_t<MatrixView<const S>> B) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) { A(r, j) += factors[r] * B(r, j); });
}

template <class S>
void scale_rows(const Context<Cuda>& context, MatrixView<S> A, const S* factors) {
  each_element(
      context, A.rows, A.cols, HALFTONE_LAMBDA(Index r, Index j) { A(r, j) *= factors[r]; });
}

#define HALFTONE_INSTANTIATE(Cells)                                                                               \
  template Index descend_columns<float>(const Context<Cuda>&, const Cells<float>&, const RefinedColumns<float>&); \
  template Index search_columns<float>(const Context<Cuda>&, const Cells<float>&, const RefinedColumns<float>&,   \
                                       const SearchEffort&);
HALFTONE_INSTANTIATE(UniformCells)
HALFTONE_INSTANTIATE(BinaryCells)
#undef HALFTONE_INSTANTIATE
template void gather_rows<float>(const Context<Cuda>&, MatrixView<const float>, const std::int32_t*, MatrixView<float>);
template double residual_product<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>,
                                        MatrixView<const float>);
template void add_scaled_rows<float>(const Context<Cuda>&, MatrixView<float>, const float*, MatrixView<const float>);
template void scale_rows<float>(const Context<Cuda>&, MatrixView<float>, const float*);

}  // namespace halftone
