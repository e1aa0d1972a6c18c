#include "convert.hpp"

#include <cstddef>  // offsetof

namespace halftone::capi {

static_assert(sizeof(void*) != 8 || (sizeof(ht_matrix) == matrix_size && sizeof(ht_tensor) == tensor_size &&
                                     sizeof(ht_method) == method_size && sizeof(ht_option) == option_size &&
                                     sizeof(ht_format) == format_size && sizeof(ht_feature) == feature_size &&
                                     sizeof(ht_source) == source_size && sizeof(ht_progress) >= progress_size));

static_assert(HT_OK == static_cast<int>(Status::Ok) &&
              HT_INVALID_ARGUMENT == static_cast<int>(Status::InvalidArgument) &&
              HT_SHAPE_MISMATCH == static_cast<int>(Status::ShapeMismatch) &&
              HT_UNSUPPORTED == static_cast<int>(Status::Unsupported) &&
              HT_INVALID_DATA == static_cast<int>(Status::InvalidData) &&
              HT_NOT_FOUND == static_cast<int>(Status::NotFound) && HT_IO == static_cast<int>(Status::Io) &&
              HT_CONFLICT == static_cast<int>(Status::Conflict) &&
              HT_CANCELLED == static_cast<int>(Status::Cancelled) &&
              HT_OUT_OF_MEMORY == static_cast<int>(Status::OutOfMemory) &&
              HT_DEVICE == static_cast<int>(Status::Device) && HT_INTERNAL == static_cast<int>(Status::Internal));
static_assert(HT_F32 == static_cast<int>(DType::F32) && HT_F16 == static_cast<int>(DType::F16) &&
              HT_BF16 == static_cast<int>(DType::BF16) && HT_F64 == static_cast<int>(DType::F64) &&
              HT_I8 == static_cast<int>(DType::I8) && HT_I16 == static_cast<int>(DType::I16) &&
              HT_I32 == static_cast<int>(DType::I32) && HT_I64 == static_cast<int>(DType::I64) &&
              HT_U8 == static_cast<int>(DType::U8) && HT_U16 == static_cast<int>(DType::U16) &&
              HT_U32 == static_cast<int>(DType::U32) && HT_U64 == static_cast<int>(DType::U64) &&
              HT_BOOL == static_cast<int>(DType::Bool) && HT_F8_E4M3 == static_cast<int>(DType::F8_E4M3) &&
              HT_F8_E5M2 == static_cast<int>(DType::F8_E5M2));

namespace {

/// The caller's matrix with its stride resolved, of host memory and sound sizes.
ht_matrix checked(const ht_matrix* given, const char* what) {
  ht_matrix matrix = read_struct(given, matrix_size, what);
  require(matrix.device_kind == 0 || matrix.device_kind == HT_CPU, Status::Unsupported, what,
          " is memory of device kind ", matrix.device_kind, ", which this build has no backend for; wanted HT_CPU");
  require(matrix.rows >= 0 && matrix.cols >= 0, Status::InvalidArgument, what, " is ", matrix.rows, " x ", matrix.cols,
          ", wanted sizes of 0 or more");
  if (matrix.stride == 0) matrix.stride = matrix.cols;
  require(matrix.stride >= matrix.cols, Status::InvalidArgument, what, ".stride is ", matrix.stride, ", wanted ",
          matrix.cols, " or more");
  checked_product(matrix.rows, checked_product(matrix.stride, 8));
  require(matrix.data != nullptr || matrix.rows == 0 || matrix.cols == 0, Status::InvalidArgument, what,
          ".data is NULL");
  return matrix;
}

}  // namespace

DType dtype_from(std::int32_t number, const char* what) {
  const DType type = static_cast<DType>(number);
  require(parse_dtype(dtype_name(type)) == type, Status::InvalidArgument, what, ".dtype is ", number,
          ", wanted one of the element types HT_F32, HT_F16, ...");
  return type;
}

FloatInput::FloatInput(const ht_matrix* given, const char* what) {
  const ht_matrix matrix = checked(given, what);
  dtype_ = dtype_from(matrix.dtype, what);
  require(is_floating(dtype_), Status::Unsupported, what, " is of type ", dtype_name(dtype_),
          ", wanted floating-point numbers");
  if (dtype_ == DType::F32) {
    view_ = {static_cast<const float*>(matrix.data), matrix.rows, matrix.cols, matrix.stride};
    return;
  }
  converted_ = Matrix<float>(matrix.rows, matrix.cols);
  const auto* const source = static_cast<const std::byte*>(matrix.data);
  if (!converted_.empty())
    for (Index row = 0; row < matrix.rows; ++row)
      widen(dtype_, source + dtype_bytes(dtype_, row * matrix.stride), matrix.cols, converted_.row(row));
  view_ = converted_.view();
}

MatrixView<const std::int32_t> integers(const ht_matrix* given, const char* what) {
  const ht_matrix matrix = checked(given, what);
  require(matrix.dtype == HT_I32, Status::Unsupported, what, " is of dtype ", matrix.dtype, ", wanted HT_I32");
  return {static_cast<const std::int32_t*>(matrix.data), matrix.rows, matrix.cols, matrix.stride};
}

void copy_to(MatrixView<const float> values, const ht_matrix* target, const char* what) {
  const ht_matrix matrix = checked(target, what);
  require(matrix.rows == values.rows && matrix.cols == values.cols, Status::ShapeMismatch, what, " is ", matrix.rows,
          " x ", matrix.cols, ", wanted ", values.rows, " x ", values.cols);
  const DType type = dtype_from(matrix.dtype, what);
  require(type == DType::F32 || type == DType::F16 || type == DType::BF16, Status::Unsupported, what, " is of type ",
          dtype_name(type), ", wanted F32, F16 or BF16");
  auto* const out = static_cast<std::byte*>(matrix.data);
  for (Index row = 0; row < matrix.rows; ++row)
    narrow(type, values.row(row), matrix.cols, out + dtype_bytes(type, row * matrix.stride));
}

ht_tensor tensor_of(const TensorInfo& info, std::span<const std::byte> bytes) {
  ht_tensor tensor{};
  tensor.struct_size = sizeof tensor;
  tensor.dtype = static_cast<std::int32_t>(info.dtype);
  tensor.name = info.name.c_str();
  tensor.shape = info.shape.data();
  tensor.rank = static_cast<std::uint32_t>(info.shape.size());
  tensor.data = bytes.data();
  tensor.bytes = bytes.size();
  return tensor;
}

void write_text(std::string_view text, char* buffer, std::size_t capacity, std::size_t* length) {
  if (buffer != nullptr && capacity > 0) {
    const std::size_t copied = std::min(text.size(), capacity - 1);
    std::copy_n(text.data(), copied, buffer);
    buffer[copied] = '\0';
  }
  if (length != nullptr) *length = text.size();
}

void require_ok(ht_status status, const char* who) {
  if (status == HT_OK) return;
  const Status given = static_cast<Status>(status);
  const bool known = status_name(given) != "unknown";
  fail(known ? given : Status::Cancelled, who, " stopped the work: it returned ", status);
}

}  // namespace halftone::capi
