// Bodies of binary_grid.hpp. Scoring all candidates is in the leaf kernels; what decides is here, compiled once.
#pragma once

#include <algorithm>
#include <bit>  // bit_cast
#include <limits>
#include <type_traits>

#include "halftone/backend/binary_grid.hpp"
#include "halftone/quant/binary_row.hpp"

namespace halftone {
namespace detail {

/// A number whose order as an integer is that of finite S, so that sorting is safe whatever the bits are.
template <class S>
auto sort_key(S value) {
  using Key = std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>;
  const Key bits = std::bit_cast<Key>(value);
  return bits < 0 ? static_cast<Key>(bits ^ std::numeric_limits<Key>::max()) : bits;
}

template <class S>
struct SortEntry {
  decltype(sort_key(S())) key;
  std::int32_t column;
};

/// One row, sorted, with the sums over its first j weights. [n + 1] but w [n].
struct SortedRow {
  std::vector<double> w, weight, moment;  ///< ascending; Σ ω, Σ ω w
  double energy = 0;                      ///< Σ ω w²
  double unit = 0;                        ///< S0, (hi − lo) / N

  Index size() const { return static_cast<Index>(w.size()); }
  double total_weight() const { return weight.back(); }

  /// Σ ω (w − level)².
  double error_at(double level) const { return energy - 2 * level * moment.back() + level * level * weight.back(); }
  /// Σ ω (x − w) over w <= cut.
  double ramp(double cut, double x) const { return ramp_of(w.data(), weight.data(), moment.data(), size(), cut, x); }
};

/// Searches row after row. One object a thread.
template <class S>
class BinarySearch {
 public:
  BinarySearch(const BinaryCandidates& candidates, const CpuKernels& kernels)
      : candidates_(candidates),
        kernels_(kernels.binary),
        ramps_(static_cast<std::size_t>(candidates.ramp_rows() * candidate_lanes)),
        minima_(candidates.shapes().size()) {}

  /// The best grid for w [n]; importance [n] or null.
  const BinaryRow<S>& fit(const S* w, const S* importance, Index n);

 private:
  void sort(const S* w, const S* importance, Index n);
  void score_lanes();
  void make_row(std::size_t shape, int lane, BinaryRow<S>& row) const;
  double stored_error(const BinaryRow<S>& row) const;
  void find_scores(std::size_t shape) {
    kernels_.scores(candidates_.shape_table(), static_cast<Index>(shape), ramps_.data(), base_, slope_, scores_);
  }
  double limit(double shift) const;
  double shift_of(std::size_t shape, int lane, const BinaryRow<S>& row) const;
  void try_candidate(std::size_t shape, int lane);
  void try_shape(std::size_t shape);

  const BinaryCandidates& candidates_;
  const BinaryKernels& kernels_;
  std::vector<SortEntry<S>> order_;
  SortedRow row_;
  std::vector<double> ramps_, minima_;
  double base_[candidate_lanes], slope_[candidate_lanes];
  double shift_[candidate_lanes];  // most that rounding moves a level
  double limit_[candidate_lanes];  // a candidate of more error before rounding is sure to lose against the best so far
  double scores_[candidate_lanes];
  double largest_limit_ = 0, noise_ = 0;
  double best_error_ = 0;
  std::size_t best_shape_ = 0;
  int best_lane_ = 0;
  BinaryRow<S> best_, trial_;
};

template <class S>
void BinarySearch<S>::sort(const S* w, const S* importance, Index n) {
  const auto size = static_cast<std::size_t>(n);
  order_.resize(size);
  for (std::size_t j = 0; j < size; ++j) order_[j] = {sort_key(w[j]), static_cast<std::int32_t>(j)};
  std::sort(order_.begin(), order_.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  row_.w.resize(size);
  row_.weight.assign(size + 1, 0.0);
  row_.moment.assign(size + 1, 0.0);
  row_.energy = 0;
  for (std::size_t j = 0; j < size; ++j) {
    const auto from = order_[j].column;
    const double value = static_cast<double>(w[from]),
                 weight = importance ? static_cast<double>(importance[from]) : 1.0;
    row_.w[j] = value;
    row_.weight[j + 1] = row_.weight[j] + weight;
    row_.moment[j + 1] = row_.moment[j] + weight * value;
    row_.energy += weight * value * value;
  }
  const double lo = std::min(0.0, row_.w.front()), hi = std::max(0.0, row_.w.back());
  row_.unit = (hi - lo) / candidates_.total();
}

/// What the scores of a lane are made of, and how exact they are.
template <class S>
void BinarySearch<S>::score_lanes() {
  const ScaleType type = candidates_.scale_type();
  const double relative = type == ScaleType::F16 ? 0x1p-11 : type == ScaleType::BF16 ? 0x1p-8 : 0x1p-24;
  const double absolute = type == ScaleType::F16 ? 0x1p-25 : type == ScaleType::BF16 ? 0x1p-134 : 0x1p-150;
  const double largest = static_cast<double>(round_stored(std::numeric_limits<float>::max(), type));
  const int total = candidates_.total();
  double widest = 0;
  for (int lane = 0; lane < candidate_lanes; ++lane) {
    base_[lane] = std::numeric_limits<double>::infinity();
    slope_[lane] = 0;
    if (lane >= BinaryCandidates::lanes) continue;
    const double scale = row_.unit * BinaryCandidates::factor(lane), centre = candidates_.centre(lane);
    const double top = scale * (total - centre), bias = std::abs(merged_bias(scale, centre, total));
    base_[lane] = row_.error_at(top);
    slope_[lane] = 2 * scale;
    const double width = 0.5 * scale * total + bias;  // Σ |α| + |β|, for every shape
    // Float arithmetic of the levels (2^-22) is within the bound for 16 bits, and added for 32.
    shift_[lane] = width < largest ? (relative + 0x1p-22) * width + (candidates_.bits() + 1) * absolute
                                   : std::numeric_limits<double>::infinity();
    widest = std::max(widest, width);
  }
  const double size = std::max(widest, std::max(std::abs(row_.w.front()), std::abs(row_.w.back())));
  noise_ = 8 * std::numeric_limits<double>::epsilon() * static_cast<double>(row_.size() + 64) * row_.total_weight() *
           size * size;
}

/// The grid of a candidate as it is stored, and as the column loop rounds to it.
template <class S>
void BinarySearch<S>::make_row(std::size_t shape, int lane, BinaryRow<S>& row) const {
  make_binary_row({candidates_.bits(), candidates_.total(), candidates_.scale_type(), candidates_.options().strict,
                   candidates_.shapes()[shape].data(), candidates_.integers(shape),
                   row_.unit * BinaryCandidates::factor(lane), candidates_.centre(lane)},
                  row);
}

/// Σ ω (q − w)² with the row's own levels and thresholds.
template <class S>
double BinarySearch<S>::stored_error(const BinaryRow<S>& row) const {
  const int count = candidates_.levels();
  return stored_error_of(row, count, row_.error_at(static_cast<double>(row.levels[count - 1])),
                         [&](double cut, double x) { return row_.ramp(cut, x); });
}

/// How far rounding moved the levels of a candidate.
template <class S>
double BinarySearch<S>::shift_of(std::size_t shape, int lane, const BinaryRow<S>& row) const {
  const double scale = row_.unit * BinaryCandidates::factor(lane), centre = candidates_.centre(lane);
  const int* const t = candidates_.integers(shape);
  double shift = 0;
  for (int m = 0; m < candidates_.levels(); ++m)
    shift = std::max(shift, std::abs(static_cast<double>(row.levels[m]) - scale * (t[m] - centre)));
  return shift + 0x1p-22 * slope_[lane] * candidates_.total();  // thresholds are rounded to S
}

/// A candidate of more error before rounding is sure to lose against the best so far, if rounding moves no level by
/// more than `shift`: by the triangle inequality the root of the error then changes by at most shift · sqrt(Σ ω).
template <class S>
double BinarySearch<S>::limit(double shift) const {
  const double reached = std::sqrt(best_error_ + noise_) + shift * std::sqrt(row_.total_weight());
  return reached * reached + noise_;
}

/// Scores a candidate as stored, and keeps it if it is the best so far.
template <class S>
void BinarySearch<S>::try_candidate(std::size_t shape, int lane) {
  make_row(shape, lane, trial_);
  if (scores_[lane] > limit(shift_of(shape, lane, trial_))) return;
  const double error = std::max(0.0, stored_error(trial_));
  const bool first = shape < best_shape_ || (shape == best_shape_ && lane < best_lane_);
  if (!(error < best_error_ || (error == best_error_ && first))) return;
  best_ = trial_;
  best_shape_ = shape;
  best_lane_ = lane;
  best_error_ = error;
  largest_limit_ = 0;
  for (int l = 0; l < BinaryCandidates::lanes; ++l) {
    limit_[l] = limit(shift_[l]);
    largest_limit_ = std::max(largest_limit_, limit_[l]);
  }
}

/// Tries the candidates of one shape that may win.
template <class S>
void BinarySearch<S>::try_shape(std::size_t shape) {
  find_scores(shape);
  for (int lane = 0; lane < BinaryCandidates::lanes; ++lane)
    if (scores_[lane] <= limit_[lane]) try_candidate(shape, lane);
}

template <class S>
const BinaryRow<S>& BinarySearch<S>::fit(const S* w, const S* importance, Index n) {
  sort(w, importance, n);
  score_lanes();
  std::fill(ramps_.begin(), ramps_.end(), 0.0);
  kernels_.ramps(candidates_.ramps(), row_.unit, n, row_.w.data(), row_.weight.data(), row_.moment.data(),
                 ramps_.data());
  kernels_.minima(candidates_.shape_table(), ramps_.data(), base_, slope_, minima_.data());

  const auto likely = static_cast<std::size_t>(std::min_element(minima_.begin(), minima_.end()) - minima_.begin());
  find_scores(likely);
  best_error_ = std::numeric_limits<double>::infinity();
  try_candidate(likely, static_cast<int>(std::min_element(scores_, scores_ + BinaryCandidates::lanes) - scores_));
  for (std::size_t shape = 0; shape < minima_.size(); ++shape)
    if (minima_[shape] <= largest_limit_) try_shape(shape);
  return best_;
}

/// ω of a group, or null where they are ones.
template <class S>
const S* weights_of(const BinaryCandidates& candidates, const S* importance, Index n) {
  if (candidates.options().objective == BinaryObjective::Plain || importance == nullptr) return nullptr;
  return std::any_of(importance, importance + n, [](S x) { return x != S(0); }) ? importance : nullptr;
}

}  // namespace detail

template <class S>
void fit_binary_grid(const Context<Cpu>& context, const BinaryCandidates& candidates, MatrixView<const S> W,
                     const S* importance, const FittedBinary<S>& out) {
  const Index levels = candidates.levels();
  require(out.alphas.rows == candidates.bits() && out.levels.rows == levels && out.thresholds.rows == levels - 1 &&
              out.codes.rows == levels && out.alphas.cols == W.rows && out.levels.cols == W.rows &&
              out.thresholds.cols == W.rows && out.codes.cols == W.rows,
          Status::ShapeMismatch, "fit_binary_grid: alphas are ", out.alphas.rows, " x ", out.alphas.cols, ", levels ",
          out.levels.rows, " x ", out.levels.cols, ", wanted ", candidates.bits(), " x ", W.rows, " and ", levels,
          " x ", W.rows);
  if (W.empty()) return;
  const S* const weights = detail::weights_of(candidates, importance, W.cols);
  constexpr Index grain = 16;
  parallel_pieces(W.rows > grain ? context.threads() : 1, W.rows, grain, [&](Index first, Index last) {
    detail::BinarySearch<S> search(candidates, context.kernels());
    for (Index r = first; r < last; ++r) {
      const detail::BinaryRow<S>& row = search.fit(W.row(r), weights, W.cols);
      for (int i = 0; i < candidates.bits(); ++i) out.alphas(i, r) = row.alphas[i];
      out.biases[r] = row.bias;
      for (Index m = 0; m < levels; ++m) {
        out.levels(m, r) = static_cast<S>(row.levels[m]);
        out.codes(m, r) = row.codes[m];
        if (m + 1 < levels) out.thresholds(m, r) = row.thresholds[m];
      }
    }
  });
}

}  // namespace halftone
