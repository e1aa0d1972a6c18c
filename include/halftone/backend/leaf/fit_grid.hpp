// Leaf kernel: scale and zero of one group of columns, row by row (fit_uniform_grid in quantize.hpp).
#pragma once

#include "halftone/backend/leaf/power.hpp"
#include "halftone/backend/leaf/triangles.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Columns that are summed side by side, whatever the width of a register: sums have one order.
inline constexpr Index column_lanes = 16;

/// Smallest and largest of 0 and w[0 .. n).
template <class S>
HALFTONE_HOST_DEVICE void find_range(const S* w, Index n, S& lo, S& hi) {
  S low[column_lanes] = {}, high[column_lanes] = {};
  Index c = 0;
  for (; c + column_lanes <= n; c += column_lanes)
    for (Index l = 0; l < column_lanes; ++l) {
      low[l] = w[c + l] < low[l] ? w[c + l] : low[l];
      high[l] = w[c + l] > high[l] ? w[c + l] : high[l];
    }
  for (Index l = 0; c < n; ++c, ++l) {
    low[l] = w[c] < low[l] ? w[c] : low[l];
    high[l] = w[c] > high[l] ? w[c] : high[l];
  }
  lo = hi = S(0);
  for (Index l = 0; l < column_lanes; ++l) {
    lo = low[l] < lo ? low[l] : lo;
    hi = high[l] > hi ? high[l] : hi;
  }
}

/// A scale under trial with Zeros zero points. Errors are summed in steps of the scale: |code − zero − w / scale|.
template <class S, int Zeros>
struct Trial {
  static constexpr Index registers = column_lanes / vector_lanes<S>;
  S inverse;                        ///< 1 / scale
  S lowest[Zeros], highest[Zeros];  ///< −zero and top − zero: what round(w / scale) is clamped to
  Vector<S> sums[Zeros][registers];
};

/// Adds the errors of `n` columns, a multiple of column_lanes.
template <GridSearch Search, class S, int Zeros>
HALFTONE_HOST_DEVICE void add_errors(const S* w, const S* importance, Index n, Trial<S, Zeros>& trial) {
  constexpr S magic = sizeof(S) == 4 ? S(12582912.0) : S(6755399441055744.0);  // as in round_half_even
  for (Index c = 0; c < n; c += column_lanes)
    for (Index r = 0; r < Trial<S, Zeros>::registers; ++r) {
      const Index at = c + r * vector_lanes<S>;
      const Vector<S> steps = vector_at(w + at).v * trial.inverse;
      const Vector<S> nearest = (steps + magic) - magic;
      for (int z = 0; z < Zeros; ++z) {
        const Vector<S> least = Vector<S>{} + trial.lowest[z], most = Vector<S>{} + trial.highest[z];
        Vector<S> code = nearest < least ? least : nearest;
        code = code > most ? most : code;
        const Vector<S> error = code - steps;
        if constexpr (Search == GridSearch::L24)
          trial.sums[z][r] += power_2_4(error < 0 ? -error : error);
        else
          trial.sums[z][r] += importance ? error * error * vector_at(importance + at).v : error * error;
      }
    }
}

/// Sum of the lanes, in pairs.
template <class S, std::size_t Registers>
HALFTONE_HOST_DEVICE S total(const Vector<S> (&sums)[Registers]) {
  S lanes[column_lanes];
  for (Index r = 0; r < static_cast<Index>(Registers); ++r) vector_at(lanes + r * vector_lanes<S>).v = sums[r];
  for (Index half = column_lanes / 2; half > 0; half /= 2)
    for (Index l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  return lanes[0];
}

/// What is left of a row behind its last whole run of column_lanes, padded with zeros (which every grid decodes
/// exactly).
template <class S>
struct RowTail {
  S w[column_lanes], importance[column_lanes];
  bool used;
};

/// Columns between two looks at whether a trial can still win: errors only grow.
template <GridSearch Search>
inline constexpr Index stretch = Search == GridSearch::L24 ? 64 : 512;

/// Adds the errors of all columns and puts those of each zero, in steps of the widest scale, into `errors`. Stops early
/// once every one of them has reached `best`.
template <GridSearch Search, class S, int Zeros>
HALFTONE_HOST_DEVICE void try_scale(const S* w, const S* importance, Index whole, const RowTail<S>& tail, S unit,
                                    S best, Trial<S, Zeros>& trial, S* errors) {
  const auto sum_up = [&]() __attribute__((always_inline)) {
    bool open = false;
    for (int z = 0; z < Zeros; ++z) {
      errors[z] = unit * total<S>(trial.sums[z]);
      open = open || errors[z] < best;
    }
    return open;
  };
  for (Index c = 0; c < whole; c += stretch<Search>) {
    const Index n = whole - c < stretch<Search> ? whole - c : stretch<Search>;
    add_errors<Search>(w + c, importance ? importance + c : nullptr, n, trial);
    if (c + n < whole && !sum_up()) return;
  }
  if (tail.used) add_errors<Search>(tail.w, tail.importance, column_lanes, trial);
  sum_up();
}

template <class S>
HALFTONE_HOST_DEVICE S clamp_zero(S zero, S least, S most) {
  return zero < least ? least : zero > most ? most : zero;
}

/// Tries 40 factors of the range and keeps the best scale and zero in `scale`, `zero`, which come in as the min-max
/// grid's.
template <GridSearch Search, int Zeros, class S>
HALFTONE_HOST_DEVICE void search_row(const S* w, Index n, const S* importance, const GridOptions& options, S lo, S hi,
                                     S& scale, S& zero) {
  const Index whole = n / column_lanes * column_lanes;
  RowTail<S> tail{};
  tail.used = whole < n;
  for (Index c = whole; c < n; ++c) {
    tail.w[c - whole] = w[c];
    tail.importance[c - whole] = importance ? importance[c] : S(1);
  }
  const S top = static_cast<S>(options.top()), least_zero = static_cast<S>(options.minimum_zero);
  const S first_scale = scale, middle = zero;
  S best = largest_finite<S>;
  for (int i = 0; i < 40; ++i) {
    const S factor = static_cast<S>(1.0 - i / 50.0);
    const S tried = round_scale((hi - lo) * factor / top, options.scale_type);
    const S center = Zeros == 1 ? middle : clamp_zero(round_half_even(-lo * factor / tried), least_zero, top);
    S zeros[Zeros];
    Trial<S, Zeros> trial{};
    const S inverse = S(1) / tried;
    trial.inverse = inverse < largest_finite<S> ? inverse : largest_finite<S>;
    for (int z = 0; z < Zeros; ++z) {
      zeros[z] = Zeros == 1 ? center : clamp_zero(center + static_cast<S>(z - 1), least_zero, top);
      trial.lowest[z] = -zeros[z];
      trial.highest[z] = top - zeros[z];
    }
    const S ratio = tried / first_scale;  // errors are compared in steps of the widest scale
    const S unit = Search == GridSearch::L24 ? power_2_4(Vector<S>{} + ratio)[0] : ratio * ratio;
    S errors[Zeros];
    try_scale<Search>(w, importance, whole, tail, unit, best, trial, errors);
    for (int z = 0; z < Zeros; ++z) {
      if (errors[z] < best) {
        best = errors[z];
        scale = tried;
        zero = zeros[z];
      }
    }
  }
}

/// OWQ's two-dimensional search (its section 4): scales R·i/n/top for i = 1 .. n = search_steps, each with every zero
/// point, Σ |error|^2.4; the first of equal errors wins. Symmetric grids keep their zero. hi − lo is R.
template <class S>
HALFTONE_HOST_DEVICE void search_row_owq(const S* w, Index n, const GridOptions& options, S lo, S hi, S& scale,
                                         S& zero) {
  constexpr int together = 4;  // zero points; divides 2^bits
  const Index whole = n / column_lanes * column_lanes;
  RowTail<S> tail{};
  for (Index c = whole; c < n; ++c) tail.w[c - whole] = w[c];
  const S top = static_cast<S>(options.top()), first_scale = scale, fixed = zero;
  S best = S(0);
  bool found = false;
  for (int i = 1; i <= options.search_steps; ++i) {
    const S factor = static_cast<S>(i) / static_cast<S>(options.search_steps);
    const S tried = round_scale((hi - lo) * factor / top, options.scale_type);
    const S inverse = S(1) / tried, ratio = tried / first_scale, unit = power_2_4(Vector<S>{} + ratio)[0];
    for (int z = 0; z < (options.symmetric ? 1 : options.levels()); z += together) {
      Trial<S, together> trial{};
      trial.inverse = inverse < largest_finite<S> ? inverse : largest_finite<S>;
      for (int k = 0; k < together; ++k) {
        const S tried_zero = options.symmetric ? fixed : static_cast<S>(z + k);
        trial.lowest[k] = -tried_zero;
        trial.highest[k] = top - tried_zero;
      }
      add_errors<GridSearch::L24>(w, static_cast<const S*>(nullptr), whole, trial);
      if (whole < n) add_errors<GridSearch::L24>(tail.w, static_cast<const S*>(nullptr), column_lanes, trial);
      for (int k = 0; k < together; ++k) {
        const S error = unit * total<S>(trial.sums[k]);
        if (-trial.lowest[k] < static_cast<S>(options.minimum_zero) || (found && error >= best)) continue;
        found = true;
        best = error;
        scale = tried;
        zero = -trial.lowest[k];
      }
    }
  }
}

/// See QuantizeKernels::fit_grid.
template <class S>
void fit_grid(MatrixView<const S> W, const S* importance, const GridOptions& options, S* scales, S* zeros) {
  const S top = static_cast<S>(options.top()), least_zero = static_cast<S>(options.minimum_zero);
  for (Index row = 0; row < W.rows; ++row) {
    const S* const w = W.data + row * W.stride;
    S lo, hi;
    find_range(w, W.cols, lo, hi);
    if (options.symmetric) {
      hi = hi > -lo ? hi : -lo;
      lo = -hi;
    }
    if (lo == S(0) && hi == S(0)) {
      lo = S(-1);
      hi = S(1);
    }
    S scale = round_scale((hi - lo) / top, options.scale_type);
    S zero = options.symmetric ? static_cast<S>(1 << (options.bits - 1))
                               : clamp_zero(round_half_even(-lo / scale), least_zero, top);
    if (options.search == GridSearch::L24) {
      if (options.symmetric)
        search_row<GridSearch::L24, 1>(w, W.cols, importance, options, lo, hi, scale, zero);
      else
        search_row<GridSearch::L24, 3>(w, W.cols, importance, options, lo, hi, scale, zero);
    } else if (options.search == GridSearch::Hessian) {
      if (options.symmetric)
        search_row<GridSearch::Hessian, 1>(w, W.cols, importance, options, lo, hi, scale, zero);
      else
        search_row<GridSearch::Hessian, 3>(w, W.cols, importance, options, lo, hi, scale, zero);
    }
    if (options.search == GridSearch::Owq) search_row_owq(w, W.cols, options, lo, hi, scale, zero);
    scales[row] = scale;
    zeros[row] = zero;
  }
}

}  // namespace halftone::detail::HALFTONE_LEAF
