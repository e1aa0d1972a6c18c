// Fitting uniform grids (fit_uniform_grid in quantize.hpp) on the device: sixteen lanes share a row's columns of one
// group, and add in the order of the CPU's leaf kernel (leaf/fit_grid.hpp), whose arithmetic this is.
//
// Floor: the weights are read from memory once, 4 bytes each; a search evaluates 40 scales (times three zeros), OWQ's
// 100 scales times every zero, at about 10 operations an evaluation, 35 with |error|^2.4.
#include <limits>

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/quant/power.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// What is being fitted: every group of consecutive columns of W.
struct FitTask {
  MatrixView<const float> W;
  const float* importance;  ///< [in] or null
  GridOptions options;
  Index width;                      ///< columns of a full group
  MatrixView<float> scales, zeros;  ///< [groups, rows]
};

/// A row's columns of one group.
struct Columns {
  const float *w, *importance;
  Index count;
};

HALFTONE_HOST_DEVICE float clamp_zero(float zero, float least, float most) {
  return zero < least ? least : zero > most ? most : zero;
}

/// Error of one weight under the reciprocal of a scale, in steps: code clamped to [lowest, highest].
template <bool Power>
HALFTONE_HOST_DEVICE float error_of(float steps, float nearest, float lowest, float highest, float weight) {
  float code = nearest < lowest ? lowest : nearest;
  code = code > highest ? highest : code;
  const float error = code - steps;
  if (Power) return power_2_4(error < 0 ? -error : error);
  return error * error * weight;
}

/// Σ error under `scale` for Zeros zero points: sums in lanes, columns of a lane in their order.
template <bool Power, int Zeros, class T>
HALFTONE_HOST_DEVICE void sum_errors(const T& team, const Columns& columns, float scale, const float* zeros, float top,
                                     float* errors) {
  typename T::template Lanes<float, Zeros> sums;
  const float reciprocal = 1.0f / scale, largest = std::numeric_limits<float>::max();
  const float inverse = reciprocal < largest ? reciprocal : largest;
  team.each_lane([&](int lane) {
    HALFTONE_UNROLL
    for (int z = 0; z < Zeros; ++z) sums(z, lane) = 0;
    for (Index c = lane; c < columns.count; c += T::size) {
      const float steps = columns.w[c] * inverse, nearest = round_half_even(steps);
      const float weight = columns.importance != nullptr ? columns.importance[c] : 1.0f;
      HALFTONE_UNROLL
      for (int z = 0; z < Zeros; ++z)
        sums(z, lane) += error_of<Power>(steps, nearest, -zeros[z], top - zeros[z], weight);
    }
  });
  HALFTONE_UNROLL
  for (int z = 0; z < Zeros; ++z) errors[z] = team.fold(sums, z, [](float a, float b) { return a + b; });
}

/// Fits one row's group. Zeros: zero points that are tried with each scale; 1 keeps the zero.
template <GridSearch Search, int Zeros>
struct FitRow {
  static constexpr int lanes = 16;
  FitTask task;

  /// Unit of work: group · rows + row.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index group = unit / task.W.rows, row = unit % task.W.rows, first = group * task.width;
    const Index count = task.W.cols - first < task.width ? task.W.cols - first : task.width;
    const Columns columns{task.W.row(row) + first, task.importance != nullptr ? task.importance + first : nullptr,
                          count};
    float lo, hi;
    find_range(team, columns, lo, hi);
    const GridOptions& options = task.options;
    const float top = static_cast<float>(options.top());
    float scale = round_scale((hi - lo) / top, options.scale_type);
    float zero = options.symmetric
                     ? static_cast<float>(1 << (options.bits - 1))
                     : clamp_zero(round_half_even(-lo / scale), static_cast<float>(options.minimum_zero), top);
    if (Search == GridSearch::L24 || Search == GridSearch::Hessian) search(team, columns, lo, hi, scale, zero);
    if (Search == GridSearch::Owq) search_owq(team, columns, hi - lo, scale, zero);
    team.each_lane([&](int lane) {
      if (lane != 0) return;
      task.scales(group, row) = scale;
      task.zeros(group, row) = zero;
    });
  }

 private:
  /// The range that the widest grid spans.
  template <class T>
  HALFTONE_HOST_DEVICE void find_range(const T& team, const Columns& columns, float& lo, float& hi) const {
    typename T::template Lanes<float, 2> range;
    team.each_lane([&](int lane) {
      float low = 0, high = 0;
      for (Index c = lane; c < columns.count; c += lanes) {
        low = columns.w[c] < low ? columns.w[c] : low;
        high = columns.w[c] > high ? columns.w[c] : high;
      }
      range(0, lane) = low;
      range(1, lane) = high;
    });
    lo = team.fold(range, 0, [](float a, float b) { return b < a ? b : a; });
    hi = team.fold(range, 1, [](float a, float b) { return b > a ? b : a; });
    if (task.options.symmetric) {
      hi = hi > -lo ? hi : -lo;
      lo = -hi;
    }
    if (lo == 0 && hi == 0) {
      lo = -1;
      hi = 1;
    }
  }

  /// 40 factors of the range, the zeros one below and above as well if Zeros is 3. Errors are compared in steps of the
  /// widest scale.
  template <class T>
  HALFTONE_HOST_DEVICE void search(const T& team, const Columns& columns, float lo, float hi, float& scale,
                                   float& zero) const {
    constexpr bool power = Search == GridSearch::L24;
    const GridOptions& options = task.options;
    const float top = static_cast<float>(options.top()), least = static_cast<float>(options.minimum_zero);
    const float first_scale = scale, middle = zero;
    float best = std::numeric_limits<float>::max();
    for (int i = 0; i < 40; ++i) {
      const float factor = static_cast<float>(1.0 - i / 50.0);
      const float tried = round_scale((hi - lo) * factor / top, options.scale_type);
      const float center = Zeros == 1 ? middle : clamp_zero(round_half_even(-lo * factor / tried), least, top);
      const float ratio = tried / first_scale, unit = power ? power_2_4(ratio) : ratio * ratio;
      float zeros[Zeros], errors[Zeros];
      HALFTONE_UNROLL
      for (int z = 0; z < Zeros; ++z)
        zeros[z] = Zeros == 1 ? center : clamp_zero(center + static_cast<float>(z - 1), least, top);
      sum_errors<power, Zeros>(team, columns, tried, zeros, top, errors);
      HALFTONE_UNROLL
      for (int z = 0; z < Zeros; ++z)
        if (unit * errors[z] < best) {
          best = unit * errors[z];
          scale = tried;
          zero = zeros[z];
        }
    }
  }

  /// OWQ's search in two dimensions: scales R·i/n/top, i = 1 .. n, each with every zero point, `Zeros` at a time.
  template <class T>
  HALFTONE_HOST_DEVICE void search_owq(const T& team, const Columns& given, float range, float& scale,
                                       float& zero) const {
    const GridOptions& options = task.options;
    const Columns columns{given.w, nullptr, given.count};
    const float top = static_cast<float>(options.top()), first_scale = scale, fixed = zero;
    float best = 0;
    bool found = false;
    for (int i = 1; i <= options.search_steps; ++i) {
      const float factor = static_cast<float>(i) / static_cast<float>(options.search_steps);
      const float tried = round_scale(range * factor / top, options.scale_type);
      const float unit = power_2_4(tried / first_scale);
      for (int z = 0; z < (options.symmetric ? 1 : options.levels()); z += Zeros) {
        float zeros[Zeros], errors[Zeros];
        HALFTONE_UNROLL
        for (int k = 0; k < Zeros; ++k) zeros[k] = options.symmetric ? fixed : static_cast<float>(z + k);
        sum_errors<true, Zeros>(team, columns, tried, zeros, top, errors);
        HALFTONE_UNROLL
        for (int k = 0; k < Zeros; ++k) {
          const float error = unit * errors[k];
          if (zeros[k] < static_cast<float>(options.minimum_zero) || (found && error >= best)) continue;
          found = true;
          best = error;
          scale = tried;
          zero = zeros[k];
        }
      }
    }
  }
};

void fit(const Context<Cuda>& context, const FitTask& task) {
  if (task.W.empty()) return;
  const Index units = (task.W.cols + task.width - 1) / task.width * task.W.rows;
  const bool fixed_zero = task.options.symmetric;
  switch (task.options.search) {
    case GridSearch::MinMax: return each_row(context, units, FitRow<GridSearch::MinMax, 1>{task});
    case GridSearch::L24:
      if (fixed_zero) return each_row(context, units, FitRow<GridSearch::L24, 1>{task});
      return each_row(context, units, FitRow<GridSearch::L24, 3>{task});
    case GridSearch::Hessian:
      if (fixed_zero) return each_row(context, units, FitRow<GridSearch::Hessian, 1>{task});
      return each_row(context, units, FitRow<GridSearch::Hessian, 3>{task});
    case GridSearch::Owq: return each_row(context, units, FitRow<GridSearch::Owq, 4>{task});
  }
}

}  // namespace

template <class S>
void fit_uniform_grid(const Context<Cuda>& context, MatrixView<const S> W, const S* importance,
                      const GridOptions& options, S* scales, S* zeros) {
  fit(context, {W, importance, options, W.cols, {scales, 1, W.rows}, {zeros, 1, W.rows}});
}

template <class S>
void fit_uniform_grids(const Context<Cuda>& context, const GridOptions& options, MatrixView<const S> W,
                       const S* importance, MatrixView<S> scales, MatrixView<S> zeros) {
  fit(context, {W, importance, options, options.group_columns(W.cols), scales, zeros});
}

template void fit_uniform_grid<float>(const Context<Cuda>&, MatrixView<const float>, const float*, const GridOptions&,
                                      float*, float*);
template void fit_uniform_grids<float>(const Context<Cuda>&, const GridOptions&, MatrixView<const float>, const float*,
                                       MatrixView<float>, MatrixView<float>);

}  // namespace halftone
