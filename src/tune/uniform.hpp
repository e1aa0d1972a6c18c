// What trainable uniform grids share: scales and zeros as they are now, value = s (q − z), and what is written of a run
// of columns.
#pragma once

#include <cmath>  // exp

#include "tune/cells.hpp"
#include "tune/columns.hpp"
#include "tune/parameters.hpp"

namespace halftone::tune {

/// The grids of all rows now, by row and group.
template <class Backend>
struct UniformRows {
  GroupRuns<Backend> runs;
  Index cols, groups;
  std::uint8_t* codes;  ///< [out, in]
  float* scales;        ///< [out, groups]
  std::uint8_t* zeros;  ///< [out, groups]
  float top;            ///< 2^bits − 1

  HALFTONE_HOST_DEVICE float scale(Index r, Index g) const { return scales[r * groups + g]; }
  HALFTONE_HOST_DEVICE float zero(Index r, Index g) const { return static_cast<float>(zeros[r * groups + g]); }
  HALFTONE_HOST_DEVICE std::uint8_t* codes_of(Index r) const { return codes + r * cols; }
};

/// Scales on a logarithmic axis: s = s0 exp(p). s0 exp(0) is s0 exactly. All [out, groups].
struct LogScaleRows {
  const float* start;         ///< s0
  float *values, *gradients;  ///< p
  ScaleType type;

  /// Moves p back onto its bounds, and gives the scale as it is stored.
  HALFTONE_HOST_DEVICE float stored(Index at) const {
    const float p = bounded(values[at], -3.0f, 3.0f);  // a factor of 20 either way: far beyond what a grid can want
    values[at] = p;
    return round_scale(start[at] * std::exp(p), type);
  }
};

/// codes[j] = code_of(j), and unless W is null W[j] = scale · (code − zero), over a run of a row's columns.
template <class Team, class Run, class CodeOf>
HALFTONE_HOST_DEVICE void write_uniform(const Team& team, const Run& run, float scale, float zero, std::uint8_t* codes,
                                        float* W, CodeOf&& code_of) {
  each_column(team, run, [&](Index j) {
    const float code = code_of(j);
    codes[j] = to_code(code);
    if (W != nullptr) W[j] = decode(code, scale, zero);
  });
}

/// Owns a uniform grid as it starts and as it is now, in the backend's memory.
template <class Backend>
class UniformNow {
 public:
  UniformNow(const Context<Backend>& context, const UniformGrid& grid)
      : bits_(grid.bits),
        type_(stored_type(grid.scale_type)),
        start_(context.upload(grid.scales.view())),
        scales_(context.upload(grid.scales.view())),
        zeros_(context.upload(grid.zeros.view())) {}

  UniformRows<Backend> rows(GroupRuns<Backend> runs, MatrixView<std::uint8_t> codes) {
    return {runs,
            codes.cols,
            scales_.cols(),
            codes.data,
            scales_.data(),
            zeros_.data(),
            static_cast<float>((1 << bits_) - 1)};
  }
  LogScaleRows log_scales(Parameters<Backend>& parameters) const {
    return {start_.data(), parameters.values.data(), parameters.gradients.data(), type_};
  }
  ScaleType type() const { return type_; }
  void to(const Context<Backend>& context, UniformGrid& grid) const {
    grid.scales = context.download(scales_.view());
    grid.zeros = context.download(zeros_.view());
  }

 private:
  int bits_;
  ScaleType type_;
  typename Backend::template Matrix<float> start_, scales_;  // [out, groups]
  typename Backend::template Matrix<std::uint8_t> zeros_;    // [out, groups]
};

}  // namespace halftone::tune
