#include "halftone/format/tensor_source.hpp"

#include <algorithm>  // lower_bound
#include <cstring>    // memcpy
#include <limits>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/finite.hpp"

namespace halftone {
namespace {

void require_floating(const TensorSource& source, const TensorInfo& info) {
  require(is_floating(info.dtype), Status::InvalidData, source.origin(info.name), ": tensor ", in_quotes(info.name),
          " is of type ", dtype_name(info.dtype), ", wanted floating-point numbers");
}

/// Rows and columns as matrix() sees them.
std::pair<Index, Index> matrix_shape(const TensorSource& source, const TensorInfo& info) {
  require(info.shape.size() == 1 || info.shape.size() == 2, Status::InvalidData, source.origin(info.name), ": tensor ",
          in_quotes(info.name), " has ", info.shape.size(), " dimensions, wanted 1 or 2");
  require_floating(source, info);
  return info.shape.size() == 1 ? std::pair<Index, Index>{1, info.shape[0]}
                                : std::pair<Index, Index>{info.shape[0], info.shape[1]};
}

/// Throws where an element of the tensor's row is not finite.
template <class T>
void require_finite(const TensorSource& source, const TensorInfo& info, const T* row, Index cols, Index number) {
  if (all_finite(cols, row)) return;
  for (Index j = 0; j < cols; ++j)
    require(all_finite(1, row + j), Status::InvalidData, source.origin(info.name), ": tensor ", in_quotes(info.name),
            " holds ", static_cast<float>(row[j]), " at row ", number, ", column ", j, ", wanted finite numbers");
}

/// Rows [first, first + count) of a floating tensor that is rows of `cols` numbers.
Matrix<float> widened_rows(const TensorSource& source, const TensorInfo& info, Index cols, Index first, Index count) {
  Matrix<float> result(count, cols);
  if (result.empty()) return result;  // 2^60 rows of no columns are no work
  const std::int64_t row_bytes = dtype_bytes(info.dtype, cols);
  const std::byte* bytes = source.bytes(info.name).data() + first * row_bytes;
  for (Index i = 0; i < count; ++i) {
    float* row = result.row(i);
    widen(info.dtype, bytes + i * row_bytes, cols, row);
    require_finite(source, info, row, cols, first + i);
  }
  return result;
}

}  // namespace

std::int64_t TensorInfo::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape)
    require(size >= 0 && !__builtin_mul_overflow(product, size, &product), Status::InvalidData, "tensor ",
            in_quotes(name), ": a size of its shape is negative or their product does not fit in 63 bits");
  return product;
}

std::string TensorSource::origin(std::string_view) const { return "tensors"; }

const TensorInfo* TensorSource::find(std::string_view name) const {
  const auto& all = tensors();
  const auto place = std::lower_bound(
      all.begin(), all.end(), name, [](const TensorInfo& info, std::string_view wanted) { return info.name < wanted; });
  return place != all.end() && place->name == name ? &*place : nullptr;
}

const TensorInfo& TensorSource::info(std::string_view name) const {
  const TensorInfo* found = find(name);
  require(found != nullptr, Status::NotFound, origin({}), ": no tensor ", in_quotes(name));
  return *found;
}

void TensorSource::release_module(std::string_view module) const noexcept {
  const auto& all = tensors();
  auto place = std::lower_bound(all.begin(), all.end(), module,
                                [](const TensorInfo& info, std::string_view wanted) { return info.name < wanted; });
  for (; place != all.end() && place->name.starts_with(module); ++place)
    if (place->name.size() > module.size() && place->name[module.size()] == '.') release(place->name);
}

Matrix<float> TensorSource::matrix(std::string_view name) const {
  const TensorInfo& found = info(name);
  return matrix_rows(name, 0, matrix_shape(*this, found).first);
}

Matrix<BFloat16> TensorSource::halves(std::string_view name) const {
  const TensorInfo& found = info(name);
  const auto [rows, cols] = matrix_shape(*this, found);
  require(found.dtype == DType::BF16, Status::InvalidData, origin(name), ": tensor ", in_quotes(name), " is of type ",
          dtype_name(found.dtype), ", wanted ", dtype_name(DType::BF16));
  Matrix<BFloat16> result(rows, cols);
  if (result.empty()) return result;
  std::memcpy(result.data(), bytes(name).data(), static_cast<std::size_t>(found.bytes()));
  for (Index i = 0; i < rows; ++i) require_finite(*this, found, result.row(i), cols, i);
  return result;
}

Matrix<float> TensorSource::matrix_rows(std::string_view name, Index first, Index count) const {
  const TensorInfo& found = info(name);
  const auto [rows, cols] = matrix_shape(*this, found);
  require(first >= 0 && count >= 0 && first <= rows && count <= rows - first, Status::InvalidArgument, origin(name),
          ": rows ", first, " .. ", first, " + ", count, " of tensor ", in_quotes(name), ", which has ", rows);
  return widened_rows(*this, found, cols, first, count);
}

Matrix<float> TensorSource::reshaped(std::string_view name, Index cols) const {
  const TensorInfo& found = info(name);
  require_floating(*this, found);
  require(cols > 0 && found.elements() % cols == 0, Status::InvalidData, origin(name), ": tensor ", in_quotes(name),
          " has ", found.elements(), " numbers, wanted whole rows of ", cols);
  return widened_rows(*this, found, cols, 0, found.elements() / cols);
}

}  // namespace halftone
