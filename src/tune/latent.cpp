// Latent codes of a uniform grid: value = s (q − z), q = round(u), s = s0 exp(p). Codes stay what they are while the
// scale moves. Straight through: dL/du = g s and dL/dp = Σ g s (q − z), for g = dL/dvalue. u is kept within half a step
// of the codes that there are, so that no weight ever stops learning. With codes fixed: the scales alone.
#include "tune/uniform.hpp"

namespace halftone::tune {

namespace {

class Latent final : public TrainedMatrix {
 public:
  Latent(const Context<Cpu>& context, MatrixView<const float> target, const QuantizedMatrix& start,
         const TrainableOptions& options)
      : TrainedMatrix(context, start, options),
        train_codes_(options.kind == TrainableKind::Latent),
        top_(static_cast<float>((1 << start.bits()) - 1)),
        codes_("codes", train_codes_ ? rows() : 0, cols(), 1),
        scales_(start.uniform(), options.scale_rate) {
    if (!train_codes_) return;
    const UniformGrid& grid = start.uniform();
    for (Index r = 0; r < rows(); ++r)
      for (const Segment& segment : segments())
        for (Index j = segment.first; j < segment.last; ++j) {
          const float steps = in_steps(target(r, j), grid.scales(r, segment.group));
          codes_.values(r, j) =
              into_cell(steps + static_cast<float>(grid.zeros(r, segment.group)), start.codes(r, j), options.margin);
        }
  }

 private:
  std::vector<Parameters*> own_parameters() override {
    if (train_codes_) return {&codes_, &scales_.parameters};
    return {&scales_.parameters};
  }

  void encode_row(Index r) override {
    UniformGrid& grid = now().uniform();
    for (Index g = 0; g < grid.groups(); ++g) grid.scales(r, g) = scales_.stored(r, g);
    if (!train_codes_) return;
    float* latent = codes_.values.row(r);
    std::uint8_t* codes = now().codes.row(r);
    const float top = top_, end = top_ + 0.5f;
    for (const Segment& segment : segments())
      for (Index j = segment.first; j < segment.last; ++j) {
        const float u = latent[j], kept = u < -0.5f ? -0.5f : u > end ? end : u;
        latent[j] = kept;
        codes[j] = static_cast<std::uint8_t>(static_cast<int>(nearest_code(kept, top)));
      }
  }

  void add_gradients(Index r, const float* dW) override {
    const UniformGrid& grid = now().uniform();
    const std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const float scale = grid.scales(r, segment.group), zero = static_cast<float>(grid.zeros(r, segment.group));
      double sum = 0;
      for (Index j = segment.first; j < segment.last; ++j)
        sum += static_cast<double>(dW[j]) * static_cast<double>(static_cast<float>(codes[j]) - zero);
      scales_.parameters.gradients(r, segment.group) += static_cast<float>(sum * static_cast<double>(scale));
      if (!train_codes_) continue;
      float* gradient = codes_.gradients.row(r);
      for (Index j = segment.first; j < segment.last; ++j) gradient[j] += dW[j] * scale;
    }
  }

  bool train_codes_;
  float top_;
  Parameters codes_;  // [out, in] u
  LogScales scales_;
};

}  // namespace

std::unique_ptr<Trainable> make_latent(const Context<Cpu>& context, MatrixView<const float> target,
                                       const QuantizedMatrix& start, const TrainableOptions& options) {
  return std::make_unique<Latent>(context, target, start, options);
}

}  // namespace halftone::tune
