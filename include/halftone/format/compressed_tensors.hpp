// `compressed-tensors`, its packing `pack-quantized`: the checkpoints of llm-compressor, read by vLLM, SGLang and
// transformers.
//
//   <module>.weight_packed      I32 [out, ceil(in·b/32)]   Stream(b) of each row's codes
//   <module>.weight_scale       [out, G], the model's type
//   <module>.weight_zero_point  I32 [ceil(out·b/32), G]    only if asymmetric: Stream(b) of the zeros, down the columns
//   <module>.weight_shape       I64 [2]                    out, in
//
// Codes are signed there, in −2^(b−1) .. 2^(b−1) − 1, and packed with 2^(b−1) added: the bits are those of our unsigned
// codes. Up to version 0.17 widths that do not divide 32 were packed loosely, floor(32/b) codes a word: read, not
// written.
#pragma once

#include "halftone/format/format.hpp"

namespace halftone {

class CompressedTensorsFormat final : public Format {
 public:
  std::string_view name() const override { return "compressed-tensors"; }
  std::string_view help() const override;
  /// Scales have the model's type unless chosen otherwise.
  void adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const override;
  /// Refuses a group index and groups that do not divide the columns.
  void check(const MatrixPlan& plan) const override;
  std::vector<TensorInfo> tensors(const MatrixPlan& plan) const override;
  void encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const override;
  /// One config group for each setting that occurs.
  void describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const override;
  std::optional<StoredMatrix> stored(const TensorSource& source, const Json& config,
                                     std::string_view module) const override;
  std::unique_ptr<QuantizedMatrix> decode(const TensorSource& source, const Json& config,
                                          std::string_view module) const override;
};

}  // namespace halftone
