// What the search for a binary-coded grid tries, and the tables that score every candidate without looking at a weight
// twice. Depends on the options alone: made once, used for every row of every matrix.
//
// A candidate is a step vector d and a lane: a scale S = p·S0 with p = 0.20, 0.25, ... 1.10 and S0 = (hi − lo)/N from
// the smallest and largest of 0 and the row's weights; and a centre c, the integer t that decodes to 0: N/2 + f·N for
// f = −0.2, −0.1, 0, 0.1, 0.2 (rounded to an integer if strict).
//
// Its levels are S (t − c) for the subset sums t_0 < ... < t_M of d. With the ramp G(x) = Σ_{w_j <= x} ω_j (x − w_j)
// the error of rounding to the nearest level is
//   Σ_j ω_j (w_j − q_j)² = Σ_j ω_j (w_j − S (N − c))² − 2 S Σ_m (t_{m+1} − t_m) G(S ((t_m + t_{m+1})/2 − c)),
// by summing the prefix-sum formula by parts. So a row needs G at S (s/2 − c) for integer s, once per lane, and then a
// candidate is a sum of 2^k − 1 products, of 2^(k−1) after folding s onto 2N − s: gaps are symmetric about N/2.
// Strict rounding moves the threshold of even s up by S/2 (the integer in the middle goes down) but not the factor in
// G.
#pragma once

#include <cmath>
#include <cstddef>

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/quant/step_vectors.hpp"

namespace halftone {

class BinaryCandidates {
 public:
  static constexpr int factors = 19, centres = 5;
  static constexpr int lanes = factors * centres;

  /// Throws Status::InvalidArgument, naming `who`, for options out of bounds, bits other than 2 .. 4, and fewer
  /// step-1 bits than bits.
  BinaryCandidates(std::string_view who, const GridOptions& grid, const BinaryOptions& options);

  int bits() const { return bits_; }
  int levels() const { return 1 << bits_; }
  int total() const { return step_total(options_.step1_bits); }
  ScaleType scale_type() const { return scale_type_; }
  const BinaryOptions& options() const { return options_; }
  const std::vector<StepVector>& shapes() const { return shapes_; }
  /// The integers t_0 <= t_1 <= ... that a shape's levels stand for. [2^k]
  const int* integers(std::size_t shape) const { return &integers_[shape << bits_]; }

  /// p of a lane, as a factor of S0.
  static double factor(int lane) { return (20 + 5 * (lane / centres)) / 100.0; }
  /// c of a lane, in steps of S.
  double centre(int lane) const {
    const double middle = 0.5 * total() + (lane % centres - 2) / 10.0 * total();
    return options_.strict ? round_half_even(middle) : middle;
  }
  /// How far, in steps of S, the threshold between two integers of this sum lies above their middle.
  double threshold_shift(int sum) const { return options_.strict && sum % 2 == 0 ? 0.5 : 0.0; }

  /// The tables that the kernels read; valid as long as this object.
  detail::RampTable ramps() const {
    return {static_cast<Index>(cut_.size()), cut_.data(), middle_.data(), slot_.data()};
  }
  detail::ShapeTable shape_table() const {
    return {static_cast<Index>(shapes_.size()), 1 << (bits_ - 1), row_.data(), gap_.data()};
  }
  /// Rows of the table of ramps.
  Index ramp_rows() const { return rows_; }

 private:
  void list_terms();
  void list_ramps();

  int bits_;
  ScaleType scale_type_;
  BinaryOptions options_;
  std::vector<StepVector> shapes_;
  std::vector<int> integers_;  // [shapes, 2^k]
  Index rows_ = 0;
  std::vector<std::int32_t> row_;     // [shapes, 2^(k−1)] row of the table of ramps
  std::vector<double> gap_;           // [shapes, 2^(k−1)] t_{m+1} − t_m
  std::vector<int> sums_;             // [rows] s of a row, 1 .. N
  std::vector<double> cut_, middle_;  // [ramps] threshold, and what stands for x in G, in steps of S0; cut ascending
  std::vector<std::int32_t> slot_;    // [ramps] place in the table
};

inline BinaryCandidates::BinaryCandidates(std::string_view who, const GridOptions& grid, const BinaryOptions& options)
    : bits_(grid.bits), scale_type_(grid.scale_type), options_(options) {
  validate_options(who, options);
  require(bits_ >= 2 && bits_ <= max_steps, Status::InvalidArgument, who, ": option 'bits' is ", bits_,
          ", wanted 2 .. ", max_steps, " for a binary-coded grid");
  require(options.step1_bits >= bits_, Status::InvalidArgument, who, ": option 'step1_bits' is ", options.step1_bits,
          ", wanted at least bits, ", bits_);
  shapes_ = options.shapes == BinaryShapes::Fast ? fast_step_vectors(options.step1_bits, bits_)
                                                 : all_step_vectors(options.step1_bits, bits_);
  list_terms();
  list_ramps();
}

/// Rows for the s that occur, and the products of every shape.
inline void BinaryCandidates::list_terms() {
  std::vector<std::int32_t> row_of_sum(static_cast<std::size_t>(total()) + 1, -1);
  for (const StepVector& d : shapes_) {
    int t[1 << max_steps];
    subset_sums(d, bits_, t);
    integers_.insert(integers_.end(), t, t + levels());
    for (int m = 0; m < 1 << (bits_ - 1); ++m) {
      const int sum = t[m] + t[m + 1];
      std::int32_t& row = row_of_sum[static_cast<std::size_t>(sum)];
      if (row < 0) {
        row = static_cast<std::int32_t>(sums_.size());
        sums_.push_back(sum);
      }
      row_.push_back(row);
      gap_.push_back(t[m + 1] - t[m]);
    }
  }
  rows_ = static_cast<Index>(sums_.size());
}

/// Every x at which a ramp is wanted, by ascending threshold.
inline void BinaryCandidates::list_ramps() {
  struct Ramp {
    double cut, middle;
    std::int32_t slot;
  };
  std::vector<Ramp> ramps;
  for (std::size_t row = 0; row < sums_.size(); ++row)
    for (int lane = 0; lane < lanes; ++lane) {
      const auto add = [&](int sum) {
        const double middle = factor(lane) * (0.5 * sum - centre(lane));
        const double cut = factor(lane) * (0.5 * sum + threshold_shift(sum) - centre(lane));
        ramps.push_back(
            {cut, middle, static_cast<std::int32_t>(row) * static_cast<std::int32_t>(detail::candidate_lanes) + lane});
      };
      add(sums_[row]);
      if (sums_[row] != total()) add(2 * total() - sums_[row]);  // folded onto the same slot
    }
  std::stable_sort(ramps.begin(), ramps.end(), [](const Ramp& a, const Ramp& b) { return a.cut < b.cut; });
  for (const Ramp& ramp : ramps) {
    cut_.push_back(ramp.cut);
    middle_.push_back(ramp.middle);
    slot_.push_back(ramp.slot);
  }
}

}  // namespace halftone
