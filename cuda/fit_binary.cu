// Fitting binary-coded grids (fit_binary_grid in binary_grid.hpp) on the device. Three steps for every row of a group:
//
//   1. sort the weights: each one's rank is the number of smaller ones (width² comparisons, no memory but the row)
//   2. sums of ω and ω·w over the first j, in double, in sequence
//   3. every candidate's error as stored, 32 candidates at a time; the least, of equal ones the first
//
// The CPU leaves out candidates that cannot win; here all are scored, by the same functions (quant/binary_row.hpp).
// Floor of step 3 for a row: candidates · 2^k · log2(width) steps of a search in sorted weights; step 1: width²
// compares.
#include <algorithm>
#include <limits>

#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/quant/binary_row.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// Rows of groups that are worked on together; their sorted weights and sums are `width` and width + 1 doubles each.
struct SortedRows {
  Index width, first_unit;  ///< columns of a full group; unit = group · rows + row
  double *w, *weight, *moment;
  double* energy;  ///< Σ ω w² of each

  HALFTONE_HOST_DEVICE double* sorted(Index unit) const { return w + (unit - first_unit) * width; }
  HALFTONE_HOST_DEVICE double* weights(Index unit) const { return weight + (unit - first_unit) * (width + 1); }
  HALFTONE_HOST_DEVICE double* moments(Index unit) const { return moment + (unit - first_unit) * (width + 1); }
};

/// The task: every group of consecutive columns of W.
struct BinaryTask {
  MatrixView<const float> W;
  const float* importance;    ///< [in] or null
  const std::uint8_t* plain;  ///< [groups] 1: the group's ω are ones
  SortedRows rows;
  int bits, total, lanes;
  Index shapes;
  ScaleType type;
  bool strict;
  const std::uint8_t* steps;          ///< [shapes, max_steps]
  const int* integers;                ///< [shapes, 2^bits]
  const double *factors, *centre_of;  ///< [lanes]
  FittedBinary<float> out;            ///< of all groups, one below the other

  HALFTONE_HOST_DEVICE Index columns(Index group) const {
    const Index rest = W.cols - group * rows.width;
    return rest < rows.width ? rest : rows.width;
  }
  HALFTONE_HOST_DEVICE const float* omega(Index group) const {
    return importance == nullptr || plain[group] != 0 ? nullptr : importance + group * rows.width;
  }
};

/// Steps 1: w and ω of element j of a unit, to their rank. (weight holds ω until step 2.)
struct SortWeights {
  BinaryTask task;
  HALFTONE_HOST_DEVICE void operator()(Index row_of_units, Index j) const {
    const Index unit = task.rows.first_unit + row_of_units, group = unit / task.W.rows, row = unit % task.W.rows;
    const Index n = task.columns(group);
    if (j >= n) return;
    const float* const w = task.W.row(row) + group * task.rows.width;
    const float* const omega = task.omega(group);
    const float own = w[j];
    Index rank = 0;
    for (Index i = 0; i < n; ++i) rank += w[i] < own || (w[i] == own && i < j) ? 1 : 0;
    task.rows.sorted(unit)[rank] = static_cast<double>(own);
    task.rows.weights(unit)[rank + 1] = omega != nullptr ? static_cast<double>(omega[j]) : 1.0;
  }
};

/// Step 2.
struct SumWeights {
  BinaryTask task;
  HALFTONE_HOST_DEVICE void operator()(Index, Index index) const {
    const Index unit = task.rows.first_unit + index, n = task.columns(unit / task.W.rows);
    const double* const w = task.rows.sorted(unit);
    double *const weight = task.rows.weights(unit), *const moment = task.rows.moments(unit);
    double energy = 0;
    weight[0] = moment[0] = 0;
    for (Index j = 0; j < n; ++j) {
      const double omega = weight[j + 1];
      weight[j + 1] = weight[j] + omega;
      moment[j + 1] = moment[j] + omega * w[j];
      energy += omega * w[j] * w[j];
    }
    task.rows.energy[index] = energy;
  }
};

/// Step 3.
struct ChooseGrid {
  static constexpr int lanes = 32;
  BinaryTask task;

  /// What a row's errors are made of.
  struct Sums {
    const double *w, *weight, *moment;
    Index n;
    double unit, energy;
  };

  HALFTONE_HOST_DEVICE void make(const Sums& sums, Index candidate, detail::BinaryRow<float>& row) const {
    const Index shape = candidate / task.lanes, lane = candidate % task.lanes;
    detail::make_binary_row(detail::BinaryChoice{task.bits, task.total, task.type, task.strict,
                                                 task.steps + shape * max_steps, task.integers + (shape << task.bits),
                                                 sums.unit * task.factors[lane], task.centre_of[lane]},
                            row);
  }
  HALFTONE_HOST_DEVICE double error(const Sums& sums, const detail::BinaryRow<float>& row) const {
    const int count = 1 << task.bits;
    const double top = static_cast<double>(row.levels[count - 1]);
    const double at_top = sums.energy - 2 * top * sums.moment[sums.n] + top * top * sums.weight[sums.n];
    const double sum = detail::stored_error_of(row, count, at_top, [&](double cut, double x) {
      return detail::ramp_of(sums.w, sums.weight, sums.moment, sums.n, cut, x);
    });
    return sum > 0 ? sum : 0;
  }

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index index) const {
    const Index unit = task.rows.first_unit + index, group = unit / task.W.rows, r = unit % task.W.rows;
    Sums sums{task.rows.sorted(unit), task.rows.weights(unit), task.rows.moments(unit), task.columns(group), 0,
              task.rows.energy[index]};
    const double lo = sums.w[0] < 0 ? sums.w[0] : 0, hi = sums.w[sums.n - 1] > 0 ? sums.w[sums.n - 1] : 0;
    sums.unit = (hi - lo) / task.total;

    typename T::template Lanes<double> least;
    typename T::template Lanes<unsigned long long> first;
    team.each_lane([&](int lane) {
      least(0, lane) = std::numeric_limits<double>::infinity();
      first(0, lane) = ~0ull;
      detail::BinaryRow<float> row;
      for (Index candidate = lane; candidate < task.shapes * task.lanes; candidate += lanes) {
        make(sums, candidate, row);
        const double own = error(sums, row);
        if (!(own < least(0, lane))) continue;
        least(0, lane) = own;
        first(0, lane) = static_cast<unsigned long long>(candidate);
      }
    });
    const double best = team.fold(least, 0, [](double a, double b) { return b < a ? b : a; });
    team.each_lane([&](int lane) {
      if (least(0, lane) != best) first(0, lane) = ~0ull;
    });
    const unsigned long long winner =
        team.fold(first, 0, [](unsigned long long a, unsigned long long b) { return b < a ? b : a; });
    team.each_lane([&](int lane) {
      if (lane != 0) return;
      detail::BinaryRow<float> row;
      make(sums, winner == ~0ull ? 0 : static_cast<Index>(winner), row);
      store(group, r, row);
    });
  }

  HALFTONE_HOST_DEVICE void store(Index group, Index r, const detail::BinaryRow<float>& row) const {
    const int count = 1 << task.bits;
    for (int i = 0; i < task.bits; ++i) task.out.alphas(group * task.bits + i, r) = row.alphas[i];
    task.out.biases[group * task.W.rows + r] = row.bias;
    for (int m = 0; m < count; ++m) {
      task.out.levels(group * count + m, r) = row.levels[m];
      task.out.codes(group * count + m, r) = row.codes[m];
      if (m + 1 < count) task.out.thresholds(group * (count - 1) + m, r) = row.thresholds[m];
    }
  }
};

/// 1 for groups whose importance counts as ones: the objective is plain, or it is zero throughout.
CudaMatrix<std::uint8_t> plain_groups(const Context<Cuda>& context, const BinaryCandidates& candidates,
                                      const float* importance, Index width, Index cols) {
  const Index groups = (cols + width - 1) / width;
  auto plain = context.allocate<std::uint8_t>(1, groups);
  std::uint8_t* const out = plain.data();
  const bool all = candidates.options().objective == BinaryObjective::Plain || importance == nullptr;
  each_element(
      context, 1, groups, HALFTONE_LAMBDA(Index, Index group) {
        bool zeros = true;
        for (Index j = group * width; !all && zeros && j < cols && j < (group + 1) * width; ++j)
          zeros = importance[j] == 0;
        out[group] = all || zeros ? 1 : 0;
      });
  return plain;
}

/// Room for the sorted weights of so many rows of groups.
struct SortingSpace {
  CudaMatrix<double> w, weight, moment, energy;
  SortingSpace(const Context<Cuda>& context, Index units, Index width)
      : w(context.allocate<double>(units, width)),
        weight(context.allocate<double>(units, width + 1)),
        moment(context.allocate<double>(units, width + 1)),
        energy(context.allocate<double>(1, units)) {}
};

/// For `units`, or for a half, a quarter, ... of them where memory is short. Throws Status::OutOfMemory where it does
/// not even do for one.
SortingSpace sorting_space(const Context<Cuda>& context, Index units, Index width) {
  for (;; units = (units + 1) / 2) {
    try {
      return SortingSpace(context, units, width);
    } catch (const Error& error) {
      if (error.status() != Status::OutOfMemory || units == 1) throw;
    }
  }
}

/// Fits all groups of `width` columns, as many rows of groups at a time as fit in about 256 MiB.
void fit(const Context<Cuda>& context, const BinaryCandidates& candidates, MatrixView<const float> W,
         const float* importance, Index width, const FittedBinary<float>& out) {
  if (W.empty()) return;
  constexpr int lanes = BinaryCandidates::lanes;
  const Index shapes = static_cast<Index>(candidates.shapes().size());
  std::vector<double> factors, centres;
  for (int lane = 0; lane < lanes; ++lane) {
    factors.push_back(BinaryCandidates::factor(lane));
    centres.push_back(candidates.centre(lane));
  }
  static_assert(sizeof(StepVector) == max_steps);
  const auto there_factors = context.upload(MatrixView<const double>(factors.data(), 1, lanes));
  const auto there_centres = context.upload(MatrixView<const double>(centres.data(), 1, lanes));
  const auto steps =
      context.upload(MatrixView<const std::uint8_t>(candidates.shapes().front().data(), shapes, max_steps));
  const auto integers = context.upload(MatrixView<const int>(candidates.integers(0), shapes, candidates.levels()));
  const auto plain = plain_groups(context, candidates, importance, width, W.cols);

  const Index units = (W.cols + width - 1) / width * W.rows;
  const Index wanted = std::min(units, std::max<Index>(1, (Index{256} << 20) / (24 * (width + 1))));
  SortingSpace space = sorting_space(context, wanted, width);
  const Index together = space.w.rows();
  BinaryTask task{W,
                  importance,
                  plain.data(),
                  {width, 0, space.w.data(), space.weight.data(), space.moment.data(), space.energy.data()},
                  candidates.bits(),
                  candidates.total(),
                  lanes,
                  shapes,
                  candidates.scale_type(),
                  candidates.options().strict,
                  steps.data(),
                  integers.data(),
                  there_factors.data(),
                  there_centres.data(),
                  out};
  for (Index unit = 0; unit < units; unit += together) {
    const Index count = std::min(together, units - unit);
    task.rows.first_unit = unit;
    each_element(context, count, width, SortWeights{task});
    each_element(context, 1, count, SumWeights{task});
    each_row(context, count, ChooseGrid{task});
  }
}

}  // namespace

template <class S>
void fit_binary_grid(const Context<Cuda>& context, const BinaryCandidates& candidates,
                     std::type_identity_t<MatrixView<const S>> W, const S* importance, const FittedBinary<S>& out) {
  fit(context, candidates, W, importance, W.cols, out);
}

template <class S>
void fit_binary_grids(const Context<Cuda>& context, const BinaryCandidates& candidates, const GridOptions& options,
                      std::type_identity_t<MatrixView<const S>> W, const S* importance, const FittedBinary<S>& out) {
  fit(context, candidates, W, importance, options.group_columns(W.cols), out);
}

template void fit_binary_grid<float>(const Context<Cuda>&, const BinaryCandidates&, MatrixView<const float>,
                                     const float*, const FittedBinary<float>&);
template void fit_binary_grids<float>(const Context<Cuda>&, const BinaryCandidates&, const GridOptions&,
                                      MatrixView<const float>, const float*, const FittedBinary<float>&);

}  // namespace halftone
