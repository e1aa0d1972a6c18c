// A learned step (LSQ, arXiv 1902.08153; with zeros as EfficientQAT, arXiv 2407.11062, has them). Latent weights w in
// steps s0 of the start, v = w / s0; a log scale p, s = s0 exp(p); a zero z = round(z0 + ζ):
//
//   t = round(w / s) + z,   q = clip(t, 0, Q),   value = s (q − z),   in = [0 <= t <= Q]
//   dv = g s0 in
//   dp = s Σ g (in ((q − z) − w / s) + out (q − z))
//   dζ = −Σ g s out
//
// Weights stay what they are while the scale moves: the difference from latent codes. Weights out of range learn
// nothing until the scale or the zero brings them back.
#include "tune/uniform.hpp"

namespace halftone::tune {

namespace {

class Lsq final : public TrainedMatrix {
 public:
  Lsq(const Context<Cpu>& context, MatrixView<const float> target, const QuantizedMatrix& start,
      const TrainableOptions& options)
      : TrainedMatrix(context, start, options),
        top_(static_cast<float>((1 << start.bits()) - 1)),
        lowest_zero_(static_cast<float>(options.minimum_zero)),
        symmetric_(start.uniform().symmetric),
        start_zeros_(start.uniform().zeros),
        weights_("weights", rows(), cols(), 1),
        scales_(start.uniform(), options.scale_rate),
        zeros_("zeros", symmetric_ ? 0 : rows(), start.groups(), options.scale_rate) {
    for (Index r = 0; r < rows(); ++r)
      for (const Segment& segment : segments())
        for (Index j = segment.first; j < segment.last; ++j)
          weights_.values(r, j) = start_in_cell(in_steps(target(r, j), scales_.start(r, segment.group)),
                                                static_cast<float>(start_zeros_(r, segment.group)), top_,
                                                start.codes(r, j), options.margin);
  }

 private:
  std::vector<Parameters*> own_parameters() override {
    if (symmetric_) return {&weights_, &scales_.parameters};
    return {&weights_, &scales_.parameters, &zeros_};
  }

  /// w / s
  float steps(Index r, Index j, float ratio) const { return std::clamp(weights_.values(r, j) * ratio, -2e6f, 2e6f); }

  void encode_row(Index r) override {
    UniformGrid& grid = now().uniform();
    for (Index g = 0; g < grid.groups(); ++g) {
      grid.scales(r, g) = scales_.stored(r, g);
      if (symmetric_) continue;
      const auto zero = static_cast<float>(start_zeros_(r, g));
      zeros_.values(r, g) = std::clamp(zeros_.values(r, g), lowest_zero_ - zero, top_ - zero);
      grid.zeros(r, g) = static_cast<std::uint8_t>(round_half_even(zero + zeros_.values(r, g)));
    }
    std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const float ratio = scales_.start(r, segment.group) / grid.scales(r, segment.group);
      const auto zero = static_cast<float>(grid.zeros(r, segment.group));
      for (Index j = segment.first; j < segment.last; ++j)
        codes[j] = static_cast<std::uint8_t>(std::clamp(round_half_even(steps(r, j, ratio)) + zero, 0.0f, top_));
    }
  }

  void add_gradients(Index r, const float* dW) override {
    const UniformGrid& grid = now().uniform();
    const std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const float scale = grid.scales(r, segment.group), start = scales_.start(r, segment.group);
      const float zero = static_cast<float>(grid.zeros(r, segment.group)), ratio = start / scale;
      double moved = 0, clipped = 0;
      for (Index j = segment.first; j < segment.last; ++j) {
        const float x = steps(r, j, ratio), t = round_half_even(x) + zero, level = static_cast<float>(codes[j]) - zero;
        const bool in = t >= 0 && t <= top_;
        weights_.gradients(r, j) += in ? dW[j] * start : 0.0f;
        moved += static_cast<double>(dW[j]) * static_cast<double>(in ? level - x : level);
        clipped += in ? 0.0 : static_cast<double>(dW[j]);
      }
      scales_.parameters.gradients(r, segment.group) += static_cast<float>(moved * static_cast<double>(scale));
      if (!symmetric_) zeros_.gradients(r, segment.group) -= static_cast<float>(clipped * static_cast<double>(scale));
    }
  }

  float top_, lowest_zero_;
  bool symmetric_;
  Matrix<std::uint8_t> start_zeros_;  // [out, groups] z0
  Parameters weights_;                // [out, in] v
  LogScales scales_;
  Parameters zeros_;  // [out, groups] ζ; none if symmetric
};

}  // namespace

std::unique_ptr<Trainable> make_lsq(const Context<Cpu>& context, MatrixView<const float> target,
                                    const QuantizedMatrix& start, const TrainableOptions& options) {
  return std::make_unique<Lsq>(context, target, start, options);
}

}  // namespace halftone::tune
