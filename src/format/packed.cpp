#include "format/packed.hpp"

#include <algorithm>  // find, all_of
#include <cmath>      // fabs
#include <cstring>    // memcpy
#include <limits>
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "halftone/core/error.hpp"

namespace halftone::detail {
namespace {

/// The smallest magnitude that rounds to infinity in `type`.
float overflow_limit(DType type) {
  constexpr float f16 = 65520.0f, bf16 = 0x1.ffp127f, f32 = std::numeric_limits<float>::infinity();
  return type == DType::F16 ? f16 : type == DType::BF16 ? bf16 : f32;
}

bool fits(const UniformGrid& grid, Index rows, Index groups) {
  return grid.scales.rows() == rows && grid.scales.cols() == groups && grid.zeros.rows() == rows &&
         grid.zeros.cols() == groups;
}
bool fits(const BinaryGrid& grid, Index rows, Index groups) {
  return grid.alphas.rows() == rows && grid.alphas.cols() == groups * grid.bits && grid.biases.rows() == rows &&
         grid.biases.cols() == groups;
}

}  // namespace

std::string tensor_name(std::string_view module, std::string_view suffix) {
  return std::string(module).append(1, '.').append(suffix);
}

void check_result(const MatrixPlan& plan, const QuantizedMatrix& matrix) {
  require(matrix.binary_coded() == plan.binary_coded, Status::Internal, plan.module,
          ": result with another kind of grid than planned");
  const Index groups = plan.grid.groups(plan.cols);
  const bool parameters =
      matrix.binary_coded() ? fits(matrix.binary(), plan.rows, groups) : fits(matrix.uniform(), plan.rows, groups);
  require(matrix.rows() == plan.rows && matrix.cols() == plan.cols && parameters, Status::Internal, plan.module,
          ": result of [", matrix.rows(), ", ", matrix.cols(), "] in ", matrix.groups(), " groups, planned [",
          plan.rows, ", ", plan.cols, "] in ", groups);
  const bool settings = matrix.bits() == plan.grid.bits && matrix.scale_type() == dtype_of(plan.grid.scale_type) &&
                        (matrix.binary_coded() || matrix.uniform().symmetric == plan.grid.symmetric) &&
                        (matrix.group_index.empty() || plan.group_index) &&
                        static_cast<Index>(matrix.outliers.columns.size()) == plan.outlier_columns;
  require(settings, Status::Internal, plan.module, ": result with other bits, symmetry, type of scales, group index ",
          "or outlier columns than planned");
}

void check_codes(const Format& format, const MatrixPlan& plan, std::span<const int> allowed) {
  require(plan.outlier_columns == 0, Status::Unsupported, plan.module, ": format ", format.name(),
          " stores no outlier columns, got ", plan.outlier_columns, "; wanted 0, or format native or dense");
  require(!plan.binary_coded, Status::Unsupported, plan.module, ": format ", format.name(),
          " stores no binary-coded weights; wanted a uniform grid, or format native or dense");
  require(plan.rows > 0 && plan.cols > 0, Status::Unsupported, plan.module, ": an empty matrix [", plan.rows, ", ",
          plan.cols, "]");
  if (std::find(allowed.begin(), allowed.end(), plan.grid.bits) != allowed.end()) return;
  std::string list;
  for (const int bits : allowed) list += (list.empty() ? "" : ", ") + std::to_string(bits);
  fail(Status::Unsupported, plan.module, ": format ", format.name(), " cannot store ", plan.grid.bits, " bits, wanted ",
       list);
}

void send(const TensorSink& sink, const std::string& name, const Matrix<std::uint32_t>& words) {
  sink(name, std::as_bytes(std::span(words.data(), static_cast<std::size_t>(words.size()))));
}

void send(const TensorSink& sink, const std::string& name, const Matrix<float>& values, DType type) {
  const float limit = overflow_limit(type);
  for (Index i = 0; i < values.size(); ++i)
    require(std::fabs(values.data()[i]) < limit, Status::Unsupported, name, ": value ", values.data()[i],
            " is not finite in ", dtype_name(type));
  Matrix<std::byte> bytes(1, dtype_bytes(type, values.size()));
  narrow(type, values.data(), values.size(), bytes.data());
  sink(name, {bytes.data(), static_cast<std::size_t>(bytes.size())});
}

std::pair<Index, Index> words_shape(const TensorSource& source, const std::string& name) {
  const TensorInfo& info = source.info(name);
  const bool fits = (info.dtype == DType::I32 || info.dtype == DType::U32) && info.shape.size() == 2 &&
                    info.shape[0] > 0 && info.shape[1] > 0;
  require(fits, Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name),
          " holds no words, wanted I32 of two dimensions");
  return {info.shape[0], info.shape[1]};
}

Matrix<std::uint32_t> read_words(const TensorSource& source, const std::string& name) {
  const auto [rows, cols] = words_shape(source, name);
  Matrix<std::uint32_t> words(rows, cols);
  const auto bytes = source.bytes(name);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

std::vector<std::int64_t> read_integers(const TensorSource& source, const std::string& name) {
  const TensorInfo& info = source.info(name);
  const bool fits = (info.dtype == DType::I32 || info.dtype == DType::I64) && info.shape.size() == 1;
  require(fits, Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name),
          " holds no integers, wanted I32 or I64 of one dimension");
  std::vector<std::int64_t> values(static_cast<std::size_t>(info.shape[0]));
  const auto bytes = source.bytes(name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (info.dtype == DType::I64) {
      std::memcpy(&values[i], bytes.data() + 8 * i, 8);
    } else {
      std::int32_t value = 0;
      std::memcpy(&value, bytes.data() + 4 * i, 4);
      values[i] = value;
    }
  }
  return values;
}

std::vector<std::int32_t> read_group_index(const TensorSource& source, const std::string& name, Index in,
                                           Index groups) {
  const auto values = read_integers(source, name);
  require(static_cast<Index>(values.size()) == in, Status::InvalidData, source.origin(name), ": tensor ",
          in_quotes(name), " has ", values.size(), " elements, wanted ", in);
  std::vector<std::int32_t> index;
  index.reserve(values.size());
  for (const std::int64_t group : values) {
    require(group >= 0 && group < groups, Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name),
            " holds group ", group, ", wanted 0 .. ", groups - 1);
    index.push_back(static_cast<std::int32_t>(group));
  }
  return index;
}

void set_groups(QuantizedMatrix& matrix, std::vector<std::int32_t> group_of_column) {
  const auto first_other = std::find_if(group_of_column.begin(), group_of_column.end(), [](auto g) { return g != 0; });
  const Index width = first_other - group_of_column.begin(), groups = matrix.groups();
  bool consecutive = width > 0 && (matrix.cols() + width - 1) / width == groups;
  for (Index j = 0; consecutive && j < matrix.cols(); ++j)
    consecutive = group_of_column[static_cast<std::size_t>(j)] == j / width;
  matrix.uniform().group_size = consecutive ? width : (matrix.cols() + groups - 1) / groups;
  if (!consecutive) matrix.group_index = std::move(group_of_column);
}

bool all_middle(const UniformGrid& grid) {
  const auto* zeros = grid.zeros.data();
  return std::all_of(zeros, zeros + grid.zeros.size(), [&](int zero) { return zero == 1 << (grid.bits - 1); });
}

const Setting& most_common(const Settings& settings) {
  return std::max_element(settings.begin(), settings.end(),
                          [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); })
      ->first;
}

const Json* find_key(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto place = object.find(std::string(key));
  return place == object.end() ? nullptr : &*place;
}

std::int64_t integer_or(const Json& object, std::string_view key, std::int64_t missing) {
  const Json* value = find_key(object, key);
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : missing;
}

}  // namespace halftone::detail
