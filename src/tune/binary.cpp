// Binary-coded grids: value = Σ α_i (±1) + β. Trained are α and β, as distances from the start in steps of the group
// (the mean distance of its levels), and, unless codes are fixed, a latent place u of each weight among the ascending
// levels: its value is level number round(u). Straight through: dL/du = g times the step of the grid, as if levels
// stood evenly. dα_i = Σ g b_i and dβ = Σ g times the step at the start, b_i = ±1 the sign of plane i.
//
// α stays positive or 0. Where two of them change places the planes do too, so that the largest comes first; weights
// keep their signs, or their places among the levels.
#include <algorithm>  // clamp, stable_sort
#include <array>
#include <cmath>    // abs
#include <numeric>  // iota

#include "tune/trained_matrix.hpp"

namespace halftone::tune {

namespace {

/// The levels of a group, ascending, and their codes.
struct Levels {
  std::array<float, 1 << max_planes> values;
  std::array<std::uint8_t, 1 << max_planes> codes;
  int count;

  Levels(const BinaryGrid& grid, Index r, Index g) : count(1 << grid.bits) {
    ascending_levels(grid.alphas.row(r) + g * grid.bits, 1, grid.biases(r, g), grid.bits, values.data(), codes.data());
  }
  /// Where `value` lies in the cell of level number `at`: at − 1/2 half way to the level below, at + 1/2 above.
  float place(int at, float value, double margin) const {
    const auto level = [&](int i) { return values[static_cast<std::size_t>(i)]; };
    const bool above = value > level(at);
    const int next = std::clamp(above ? at + 1 : at - 1, 0, count - 1);
    const float distance =
        next == at ? std::abs(level(at) - level(std::abs(at - 1))) : std::abs(level(next) - level(at));
    const float far = value - level(at);
    const float steps = distance > 0 ? far / distance : far == 0 ? 0.0f : above ? 1.0f : -1.0f;
    return into_cell(static_cast<float>(at) + std::clamp(steps, -1.0f, 1.0f), static_cast<float>(at), margin);
  }
};

/// Mean distance of neighbouring levels: from −Σα to Σα in 2^k − 1 steps.
float mean_step(const BinaryGrid& grid, Index r, Index g) {
  float sum = 0;
  for (Index i = 0; i < grid.bits; ++i) sum += grid.alphas(r, g * grid.bits + i);
  return 2 * sum / static_cast<float>((1 << grid.bits) - 1);
}

class Binary final : public TrainedMatrix {
 public:
  Binary(const Context<Cpu>& context, MatrixView<const float> target, const QuantizedMatrix& start,
         const TrainableOptions& options)
      : TrainedMatrix(context, start, options),
        train_codes_(options.kind == TrainableKind::Latent),
        bits_(start.bits()),
        type_(stored_type(start.scale_type())),
        start_(start.binary()),
        start_codes_(train_codes_ ? Matrix<std::uint8_t>() : start.codes),
        units_(rows(), start.groups()),
        planes_(rows(), start.groups() * bits_),
        codes_("codes", train_codes_ ? rows() : 0, cols(), 1),
        alphas_("alphas", rows(), start.groups() * bits_, options.scale_rate),
        biases_("biases", rows(), start.groups(), options.scale_rate) {
    for (Index r = 0; r < rows(); ++r) {
      for (Index g = 0; g < start.groups(); ++g) {
        const float step = mean_step(start_, r, g);
        units_(r, g) = step > 0 ? step : 1e-5f;
      }
      if (!train_codes_) continue;
      const std::vector<Levels> of_group = levels_of_row(start_, r);
      for (const Segment& segment : segments()) {
        const Levels& levels = of_group[static_cast<std::size_t>(segment.group)];
        for (Index j = segment.first; j < segment.last; ++j) {
          const auto code = std::find(levels.codes.begin(), levels.codes.begin() + levels.count, start.codes(r, j));
          codes_.values(r, j) =
              levels.place(static_cast<int>(code - levels.codes.begin()), target(r, j), options.margin);
        }
      }
    }
  }

 private:
  static std::vector<Levels> levels_of_row(const BinaryGrid& grid, Index r) {
    std::vector<Levels> levels;
    levels.reserve(static_cast<std::size_t>(grid.groups()));
    for (Index g = 0; g < grid.groups(); ++g) levels.emplace_back(grid, r, g);
    return levels;
  }

  std::vector<Parameters*> own_parameters() override {
    if (train_codes_) return {&codes_, &alphas_, &biases_};
    return {&alphas_, &biases_};
  }

  /// α and β as they are stored, planes in order.
  void encode_group(Index r, Index g) {
    BinaryGrid& grid = now().binary();
    std::array<float, max_planes> alphas;
    std::uint8_t* planes = planes_.row(r) + g * bits_;
    std::iota(planes, planes + bits_, std::uint8_t{0});
    for (Index i = 0; i < bits_; ++i) {
      const float start = start_.alphas(r, g * bits_ + i), unit = units_(r, g);
      float& moved = alphas_.values(r, g * bits_ + i);
      if (start + unit * moved < 0) moved = -start / unit;
      alphas[static_cast<std::size_t>(i)] = round_stored(std::max(start + unit * moved, 0.0f), type_);
    }
    std::stable_sort(planes, planes + bits_, [&](std::uint8_t a, std::uint8_t b) { return alphas[a] > alphas[b]; });
    for (Index i = 0; i < bits_; ++i) grid.alphas(r, g * bits_ + i) = alphas[planes[i]];
    grid.biases(r, g) = round_stored(start_.biases(r, g) + units_(r, g) * biases_.values(r, g), type_);
  }

  void encode_row(Index r) override {
    for (Index g = 0; g < now().groups(); ++g) encode_group(r, g);
    std::uint8_t* codes = now().codes.row(r);
    const std::vector<Levels> of_group = train_codes_ ? levels_of_row(now().binary(), r) : std::vector<Levels>();
    for (const Segment& segment : segments()) {
      if (train_codes_) {
        const Levels& levels = of_group[static_cast<std::size_t>(segment.group)];
        const auto top = static_cast<float>(levels.count - 1);
        for (Index j = segment.first; j < segment.last; ++j) {
          float& latent = codes_.values(r, j);
          latent = std::clamp(latent, -0.5f, top + 0.5f);
          codes[j] = levels.codes[static_cast<std::size_t>(nearest_code(latent, top))];
        }
      } else {
        const std::uint8_t* planes = planes_.row(r) + segment.group * bits_;
        std::array<std::uint8_t, 1 << max_planes> reordered;
        for (unsigned code = 0; code < 1u << bits_; ++code) {
          unsigned now_code = 0;
          for (int i = 0; i < bits_; ++i) now_code |= (code >> planes[i] & 1u) << i;
          reordered[code] = static_cast<std::uint8_t>(now_code);
        }
        for (Index j = segment.first; j < segment.last; ++j) codes[j] = reordered[start_codes_(r, j)];
      }
    }
  }

  void add_gradients(Index r, const float* dW) override {
    const BinaryGrid& grid = now().binary();
    const std::uint8_t* codes = now().codes.row(r);
    for (const Segment& segment : segments()) {
      const Index g = segment.group;
      std::array<double, 1 << max_planes> of_code;  // Σ g over the weights of a code
      std::fill_n(of_code.begin(), 1 << bits_, 0.0);
      for (Index j = segment.first; j < segment.last; ++j) of_code[codes[j]] += static_cast<double>(dW[j]);
      std::array<double, max_planes> planes{};
      double all = 0;
      for (std::size_t code = 0; code < std::size_t{1} << bits_; ++code) {
        all += of_code[code];
        for (std::size_t i = 0; i < static_cast<std::size_t>(bits_); ++i)
          planes[i] += (code >> i & 1u) != 0 ? of_code[code] : -of_code[code];
      }
      const auto unit = static_cast<double>(units_(r, g));
      for (Index i = 0; i < bits_; ++i)
        alphas_.gradients(r, g * bits_ + planes_(r, g * bits_ + i)) +=
            static_cast<float>(unit * planes[static_cast<std::size_t>(i)]);
      biases_.gradients(r, g) += static_cast<float>(unit * all);
      if (!train_codes_) continue;
      const float step = mean_step(grid, r, g);
      for (Index j = segment.first; j < segment.last; ++j) codes_.gradients(r, j) += dW[j] * step;
    }
  }

  bool train_codes_;
  int bits_;
  ScaleType type_;
  BinaryGrid start_;
  Matrix<std::uint8_t> start_codes_;  // [out, in]; none if codes are trained
  Matrix<float> units_;               // [out, groups] step at the start
  Matrix<std::uint8_t> planes_;       // [out, groups · k] which plane of the start is plane i now
  Parameters codes_;                  // [out, in] u
  Parameters alphas_;                 // [out, groups · k]
  Parameters biases_;                 // [out, groups]
};

}  // namespace

std::unique_ptr<Trainable> make_binary(const Context<Cpu>& context, MatrixView<const float> target,
                                       const QuantizedMatrix& start, const TrainableOptions& options) {
  return std::make_unique<Binary>(context, target, start, options);
}

}  // namespace halftone::tune
