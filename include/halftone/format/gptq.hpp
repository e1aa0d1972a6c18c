// `gptq` and `gptq_v2`: the checkpoints of AutoGPTQ and GPTQModel, read by transformers, vLLM, SGLang and others.
//
//   <module>.qweight  I32 [in·b/32, out]  Stream(b) of each output's codes, down the columns
//   <module>.qzeros   I32 [G, out·b/32]   Stream(b) of the zeros along out; format `gptq` (v1) stores zero − 1
//   <module>.scales   F16 or BF16 [G, out]
//   <module>.g_idx    I32 [in]            group of each column, in the original order of columns
//
// 2, 3, 4 or 8 bits; in and out are multiples of 32. Value: scales[g_idx[i], o] · (code[i, o] − zero[g_idx[i], o]).
#pragma once

#include "halftone/format/format.hpp"

namespace halftone {

class GptqFormat final : public Format {
 public:
  /// `version` 1: zeros are stored less one, so a zero of 0 cannot be; every reader knows it. 2: zeros as they are.
  explicit GptqFormat(int version) : version_(version) {}

  std::string_view name() const override { return version_ == 1 ? "gptq" : "gptq_v2"; }
  std::string_view help() const override;
  /// Scales are F16 unless chosen otherwise; v1 has no zero point 0 on an asymmetric grid.
  void adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const override;
  void check(const MatrixPlan& plan) const override;
  std::vector<TensorInfo> tensors(const MatrixPlan& plan) const override;
  void encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const override;
  /// `quantization_config` with the setting of most matrices; `dynamic` names the modules that differ.
  void describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const override;
  /// quantize_config.json
  std::vector<std::pair<std::string, std::string>> side_files(const Json& config) const override;
  /// Symmetry and order are what the config says.
  std::optional<StoredMatrix> stored(const TensorSource& source, const Json& config,
                                     std::string_view module) const override;
  /// A stored zero of 2^b − 1 in v1 wraps to 0, as AutoGPTQ has it.
  std::unique_ptr<QuantizedMatrix> decode(const TensorSource& source, const Json& config,
                                          std::string_view module) const override;

 private:
  int version_;
};

}  // namespace halftone
