#include "halftone/format/dense.hpp"

#include <nlohmann/json.hpp>

#include "format/packed.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

void DenseFormat::adapt(GridOptions&, DType, bool) const {}

void DenseFormat::check(const MatrixPlan& plan) const {
  const bool storable = plan.dtype == DType::F32 || plan.dtype == DType::F16 || plan.dtype == DType::BF16;
  require(storable, Status::Unsupported, plan.module, ": format dense keeps the weight's type, which is ",
          dtype_name(plan.dtype), "; wanted F32, F16 or BF16");
}

std::vector<TensorInfo> DenseFormat::tensors(const MatrixPlan& plan) const {
  return {{detail::tensor_name(plan.module, "weight"), plan.dtype, {plan.rows, plan.cols}}};
}

void DenseFormat::encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const {
  detail::check_result(plan, matrix);
  detail::send(sink, detail::tensor_name(plan.module, "weight"), dequantize(matrix), plan.dtype);
}

Matrix<float> DenseFormat::stored_values(const MatrixPlan& plan, const QuantizedMatrix& matrix) const {
  Matrix<float> values = dequantize(matrix);
  Matrix<std::byte> stored(1, dtype_bytes(plan.dtype, values.cols()));
  for (Index i = 0; i < values.rows(); ++i) {
    narrow(plan.dtype, values.row(i), values.cols(), stored.data());
    widen(plan.dtype, stored.data(), values.cols(), values.row(i));
  }
  return values;
}

void DenseFormat::verify(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSource& source,
                         const Json&) const {
  const Matrix<float> stored = source.matrix(detail::tensor_name(plan.module, "weight"));
  detail::compare(stored, stored_values(plan, matrix), "values", plan.module);
}

void DenseFormat::describe(Json& config, std::span<const MatrixPlan>, std::span<const std::string>) const {
  config.erase("quantization_config");
}

std::optional<StoredMatrix> DenseFormat::stored(const TensorSource& source, const Json&,
                                                std::string_view module) const {
  const TensorInfo* info = source.find(detail::tensor_name(module, "weight"));
  if (info == nullptr || info->shape.size() != 2 || !is_floating(info->dtype)) return std::nullopt;
  return StoredMatrix{.module = std::string(module),
                      .rows = info->shape[0],
                      .cols = info->shape[1],
                      .bits = dtype_bits(info->dtype),
                      .dtype = info->dtype,
                      .bytes = info->bytes()};
}

std::unique_ptr<QuantizedMatrix> DenseFormat::decode(const TensorSource&, const Json&, std::string_view) const {
  return nullptr;
}

}  // namespace halftone
