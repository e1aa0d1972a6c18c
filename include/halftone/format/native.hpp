// `native`: everything that Halftone can express, in safetensors. Bits b, groups G of a row, planes k, outlier columns
// K.
//
//   <module>.shape            I64 [2]                     out, in
//   <module>.codes            I32 [out, ceil(in·b/32)]    uniform: Stream(b) of each row's codes
//   <module>.scales           [out, G]                    F16, BF16 or F32
//   <module>.zeros            I32 [ceil(out·b/32), G]     only if asymmetric: Stream(b) of the zeros, down the columns
//   <module>.planes           I32 [k, out, ceil(in/32)]   binary-coded: signs of plane i, column j at bit j % 32
//   <module>.alphas           [out, G·k]                  a group's planes side by side, largest first
//   <module>.biases           [out, G]                    β, in the type of the alphas
//   <module>.group_index      I32 [in]                    only if groups do not follow the columns
//   <module>.outlier_columns  I32 [K]                     only if there are any: ascending
//   <module>.outlier_values   [out, K]                    in the type of the scales or alphas
//
// Value: that of an outlier column where the column is one, whatever its code; else scale · (code − zero), zero =
// 2^(b−1) if symmetric; or Σ_i (bit_i ? α_i : −α_i) + β, from plane 0 on. `quantization_config` says which of these
// tensors a module has, its bits and its group size.
#pragma once

#include "halftone/format/format.hpp"

namespace halftone {

class NativeFormat final : public Format {
 public:
  static constexpr int version = 1;  ///< of the layout: the newest that is read

  std::string_view name() const override { return "native"; }
  std::string_view help() const override;
  /// Changes nothing.
  void adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const override;
  /// Refuses empty matrices, and widths that codes do not have: 2 .. 8 bits, 1 .. 8 planes.
  void check(const MatrixPlan& plan) const override;
  std::vector<TensorInfo> tensors(const MatrixPlan& plan) const override;
  void encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const override;
  /// A list of settings, the most common one for every module that no other names.
  void describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const override;
  std::optional<StoredMatrix> stored(const TensorSource& source, const Json& config,
                                     std::string_view module) const override;
  std::unique_ptr<QuantizedMatrix> decode(const TensorSource& source, const Json& config,
                                          std::string_view module) const override;
};

}  // namespace halftone
