// SignRound (arXiv 2309.05516), the quantiser of arXiv 2411.03934. W stays; trained are an offset V of each weight and
// two factors of each group's range [lo, hi]:
//
//   wmin = α lo,  wmax = β hi,  s = (wmax − wmin) / Q, as stored,  z = round(−wmin / s)
//   t = round(W / s + V) + z,   q = clip(t, 0, Q),   value = s (q − z),   in = [0 <= t <= Q], out = 1 − in
//   dV = g s in
//   ds = Σ g (in ((q − z) − W / s) + out ((q − z) − wmin / s))
//   dα = lo (−ds / Q + Σ g out),   dβ = hi ds / Q
//
// Groups whose grid is plain rounding's start from lo = min(W, 0) and hi = max(W, 0), and their factors stay in [0, 1],
// as in the paper. Others start from the range of their grid, lo = −s z and hi = s (Q − z), which may double. Where a
// code is not what plain rounding gives, V starts beyond ± 1/2. Symmetric grids keep z; one factor ρ is trained:
// s = ρ s0, dρ = s0 Σ g (in ((q − z) − W / s) + out (q − z)).
#include "tune/uniform.hpp"

namespace halftone::tune {

namespace {

/// Range of a group: lo = −unit · zero, hi = unit · (Q − zero); zero is a real number.
struct Range {
  float unit = 0, zero = 0, most = 2;  // most: bound of the factors
};
struct ScaleAndZero {
  float scale, zero;
};

class SignRound final : public TrainedMatrix {
 public:
  SignRound(const Context<Cpu>& context, MatrixView<const float> target, const QuantizedMatrix& start,
            const TrainableOptions& options)
      : TrainedMatrix(context, start, options),
        top_(static_cast<float>((1 << start.bits()) - 1)),
        lowest_zero_(static_cast<float>(options.minimum_zero)),
        symmetric_(start.uniform().symmetric),
        type_(stored_type(start.scale_type())),
        W_(target),
        ranges_(static_cast<std::size_t>(rows() * start.groups())),
        offsets_("rounding", rows(), cols(), 1),
        lower_(symmetric_ ? "range" : "alpha", rows(), start.groups(), 1, 1.0f),
        upper_("beta", symmetric_ ? 0 : rows(), start.groups(), 1, 1.0f) {
    const UniformGrid& grid = start.uniform();
    for (Index r = 0; r < rows(); ++r) {
      find_ranges(r, grid);
      for (const Segment& segment : segments()) {
        const auto zero = static_cast<float>(grid.zeros(r, segment.group));
        for (Index j = segment.first; j < segment.last; ++j) {
          const float steps = in_steps(W_(r, j), grid.scales(r, segment.group));
          offsets_.values(r, j) = start_in_cell(steps, zero, top_, start.codes(r, j), options.margin) - steps;
        }
      }
    }
  }

 private:
  Range& range(Index r, Index g) { return ranges_[static_cast<std::size_t>(r * lower_.values.cols() + g)]; }

  /// Plain rounding's range where it gives the group's very scale and zero, else that of the grid.
  void find_ranges(Index r, const UniformGrid& grid) {
    std::vector<float> low(static_cast<std::size_t>(grid.groups())), high(low);
    for (const Segment& segment : segments())
      for (Index j = segment.first; j < segment.last; ++j) {
        float &lo = low[static_cast<std::size_t>(segment.group)], &hi = high[static_cast<std::size_t>(segment.group)];
        lo = std::min(lo, W_(r, j));
        hi = std::max(hi, W_(r, j));
      }
    for (Index g = 0; g < grid.groups(); ++g) {
      const float lo = low[static_cast<std::size_t>(g)], hi = high[static_cast<std::size_t>(g)];
      const float scale = grid.scales(r, g), zero = static_cast<float>(grid.zeros(r, g));
      if (!symmetric_ && lo < hi) {
        const float unit = (hi - lo) / top_;
        range(r, g) = {unit, -lo / unit, 1.0f};
        const ScaleAndZero plain = grid_of(r, g);
        if (plain.scale == scale && plain.zero == zero) continue;
      }
      range(r, g) = {scale, zero, 2.0f};
    }
  }

  /// Scale and zero that the factors of a group mean.
  ScaleAndZero grid_of(Index r, Index g) {
    const Range& start = range(r, g);
    const float alpha = lower_.values(r, g);
    if (symmetric_) return {round_scale(start.unit * alpha, type_), start.zero};
    const float below = alpha * start.zero, above = upper_.values(r, g) * (top_ - start.zero);
    const float scale = round_scale(start.unit * ((above + below) / top_), type_);
    return {scale, std::clamp(round_half_even(std::min(below * start.unit / scale, 1024.0f)), lowest_zero_, top_)};
  }

  std::vector<Parameters*> own_parameters() override {
    if (symmetric_) return {&offsets_, &lower_};
    return {&offsets_, &lower_, &upper_};
  }

  void encode_row(Index r) override {
    UniformGrid& grid = now().uniform();
    for (Index g = 0; g < grid.groups(); ++g) {
      for (Parameters* factors : {&lower_, &upper_})
        if (factors->values.rows() > 0)
          factors->values(r, g) = std::clamp(factors->values(r, g), 0.0f, range(r, g).most);
      const ScaleAndZero stored = grid_of(r, g);
      grid.scales(r, g) = stored.scale;
      grid.zeros(r, g) = static_cast<std::uint8_t>(stored.zero);
    }
    std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const float scale = grid.scales(r, segment.group), zero = static_cast<float>(grid.zeros(r, segment.group));
      for (Index j = segment.first; j < segment.last; ++j)
        codes[j] = static_cast<std::uint8_t>(std::clamp(rounded(r, j, scale) + zero, 0.0f, top_));
    }
  }

  float rounded(Index r, Index j, float scale) const {
    return round_half_even(in_steps(W_(r, j), scale) + std::clamp(offsets_.values(r, j), -4096.0f, 4096.0f));
  }

  void add_gradients(Index r, const float* dW) override {
    const UniformGrid& grid = now().uniform();
    const std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const Index g = segment.group;
      const float scale = grid.scales(r, g), zero = static_cast<float>(grid.zeros(r, g));
      const Range& start = range(r, g);
      // An outer code moves with the end of the range, wmin / s; the middle of a symmetric one stays.
      const float end = symmetric_ ? 0.0f : -lower_.values(r, g) * start.zero * start.unit / scale;
      double ds = 0, clipped = 0;
      for (Index j = segment.first; j < segment.last; ++j) {
        const float t = rounded(r, j, scale) + zero, level = static_cast<float>(codes[j]) - zero;
        const bool in = t >= 0 && t <= top_;
        offsets_.gradients(r, j) += in ? dW[j] * scale : 0.0f;
        ds += static_cast<double>(dW[j]) * static_cast<double>(level - (in ? in_steps(W_(r, j), scale) : end));
        clipped += in ? 0.0 : static_cast<double>(dW[j]);
      }
      const auto unit = static_cast<double>(start.unit), low = static_cast<double>(start.zero),
                 top = static_cast<double>(top_);
      if (symmetric_) {
        lower_.gradients(r, g) += static_cast<float>(unit * ds);
      } else {
        lower_.gradients(r, g) += static_cast<float>(unit * low * (ds / top - clipped));
        upper_.gradients(r, g) += static_cast<float>(unit * (top - low) * (ds / top));
      }
    }
  }

  float top_, lowest_zero_;
  bool symmetric_;
  ScaleType type_;
  Matrix<float> W_;            // [out, in]
  std::vector<Range> ranges_;  // [out, groups]
  Parameters offsets_;         // [out, in] V
  Parameters lower_, upper_;   // [out, groups] α or ρ; β
};

}  // namespace

std::unique_ptr<Trainable> make_sign_round(const Context<Cpu>& context, MatrixView<const float> target,
                                           const QuantizedMatrix& start, const TrainableOptions& options) {
  return std::make_unique<SignRound>(context, target, start, options);
}

}  // namespace halftone::tune
