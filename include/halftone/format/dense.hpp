// `dense`: the dequantised weight in the type of the original, under the original's name. Loads in every engine.
#pragma once

#include "halftone/format/format.hpp"

namespace halftone {

class DenseFormat final : public Format {
 public:
  std::string_view name() const override { return "dense"; }
  std::string_view help() const override { return "dequantised weights in the original type: loads everywhere"; }
  bool stores_codes() const override { return false; }
  /// Changes nothing: scales are not stored.
  void adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const override;
  void check(const MatrixPlan& plan) const override;
  std::vector<TensorInfo> tensors(const MatrixPlan& plan) const override;
  void encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const override;
  /// dequantize(), rounded to the type of the original.
  Matrix<float> stored_values(const MatrixPlan& plan, const QuantizedMatrix& matrix) const override;
  /// Compares values, since no codes are stored.
  void verify(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSource& source,
              const Json& config) const override;
  /// Takes out what an earlier quantisation said.
  void describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const override;
  std::optional<StoredMatrix> stored(const TensorSource& source, const Json& config,
                                     std::string_view module) const override;
  /// Null: a dense weight is no quantised matrix.
  std::unique_ptr<QuantizedMatrix> decode(const TensorSource& source, const Json& config,
                                          std::string_view module) const override;
};

}  // namespace halftone
