// Between the structs of the C interface and the library's types.
#pragma once

#include <algorithm>  // min
#include <cstring>    // memcpy
#include <span>
#include <string>
#include <string_view>

#include "halftone.h"
#include "halftone/core/dtype.hpp"
#include "halftone/core/matrix.hpp"
#include "halftone/format/tensor_source.hpp"

namespace halftone::capi {

/// Reads a caller's struct: no more than it says it has, the rest zero. Throws Status::InvalidArgument for NULL and for
/// a struct_size below `smallest`, the size it had in the first version.
template <class T>
T read_struct(const T* given, std::size_t smallest, const char* what) {
  require(given != nullptr, Status::InvalidArgument, what, " is NULL");
  require(given->struct_size >= smallest, Status::InvalidArgument, what, ".struct_size is ", given->struct_size,
          ", wanted ", smallest, " or more");
  T copy{};
  std::memcpy(&copy, given, std::min<std::size_t>(given->struct_size, sizeof copy));
  return copy;
}

/// Fills a caller's struct likewise, whose struct_size stays.
template <class T>
void write_struct(T* out, std::size_t smallest, T value, const char* what) {
  require(out != nullptr, Status::InvalidArgument, what, " is NULL");
  require(out->struct_size >= smallest, Status::InvalidArgument, what, ".struct_size is ", out->struct_size,
          ", wanted ", smallest, " or more");
  value.struct_size = out->struct_size;
  std::memcpy(out, &value, std::min<std::size_t>(out->struct_size, sizeof value));
}

/// A caller's matrix of float: its own memory if it is of HT_F32, else a copy. Throws Status::InvalidArgument for NULL,
/// negative sizes and strides; Status::Unsupported for memory of a device and types that are not floating.
class FloatInput {
 public:
  FloatInput(const ht_matrix* given, const char* what);
  MatrixView<const float> view() const noexcept { return view_; }
  DType dtype() const noexcept { return dtype_; }

 private:
  DType dtype_ = DType::F32;
  Matrix<float> converted_;
  MatrixView<const float> view_;
};

/// The same for integers of HT_I32, whose memory is taken as it is.
MatrixView<const std::int32_t> integers(const ht_matrix* given, const char* what);

/// Rounds `values` into a caller's matrix of F32, F16 or BF16. Throws Status::ShapeMismatch; Status::Unsupported.
void copy_to(MatrixView<const float> values, const ht_matrix* target, const char* what);

/// A view of library memory for the caller.
template <class T>
ht_matrix view_of(MatrixView<const T> view, DType dtype) {
  ht_matrix out{};
  out.dtype = static_cast<std::int32_t>(dtype);
  out.rows = view.rows;
  out.cols = view.cols;
  out.stride = view.stride;
  out.data = const_cast<T*>(view.data);
  out.device_kind = HT_CPU;
  return out;
}

/// A tensor for the caller; points into `info` and `bytes`.
ht_tensor tensor_of(const TensorInfo& info, std::span<const std::byte> bytes);

/// An element type by number. Throws Status::InvalidArgument.
DType dtype_from(std::int32_t number, const char* what);

/// Copies text out as ht_..._text does.
void write_text(std::string_view text, char* buffer, std::size_t capacity, std::size_t* length);

/// What a callback returned, as an exception unless 0.
void require_ok(ht_status status, const char* who);

/// Sizes of the structs in version 1.0 of the interface.
inline constexpr std::size_t matrix_size = 48, tensor_size = 48, method_size = 32, option_size = 64, format_size = 24,
                             feature_size = 24, source_size = 48, progress_size = 72;

}  // namespace halftone::capi
