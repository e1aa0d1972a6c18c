#include "halftone/format/native.hpp"

#include <algorithm>  // none_of
#include <cstring>    // memcpy
#include <limits>
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "format/native_config.hpp"
#include "format/packed.hpp"
#include "format/sign_planes.hpp"
#include "halftone/core/error.hpp"
#include "halftone/quant/packing.hpp"

namespace halftone {
namespace {

struct Names {
  std::string shape, codes, scales, zeros, planes, alphas, biases, group_index, outlier_columns, outlier_values;
  explicit Names(std::string_view module)
      : shape(detail::tensor_name(module, "shape")),
        codes(detail::tensor_name(module, "codes")),
        scales(detail::tensor_name(module, "scales")),
        zeros(detail::tensor_name(module, "zeros")),
        planes(detail::tensor_name(module, "planes")),
        alphas(detail::tensor_name(module, "alphas")),
        biases(detail::tensor_name(module, "biases")),
        group_index(detail::tensor_name(module, "group_index")),
        outlier_columns(detail::tensor_name(module, "outlier_columns")),
        outlier_values(detail::tensor_name(module, "outlier_values")) {}
};

[[noreturn]] void refuse(const TensorSource& source, const std::string& name, std::string_view what) {
  fail(Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name), " ", what);
}

/// {out, in}; sizes that an I32 index reaches.
std::pair<Index, Index> read_shape(const TensorSource& source, const std::string& name) {
  const auto shape = detail::read_integers(source, name);
  const auto fits = [](std::int64_t size) { return size >= 1 && size <= std::numeric_limits<std::int32_t>::max(); };
  if (shape.size() != 2 || !fits(shape[0]) || !fits(shape[1])) refuse(source, name, "is no shape of a matrix");
  return {shape[0], shape[1]};
}

ScaleType read_scale_type(const TensorSource& source, const std::string& name) {
  if (const auto type = scale_type_of(source.info(name).dtype)) return *type;
  refuse(source, name, concat("is of type ", dtype_name(source.info(name).dtype), ", wanted F16, BF16 or F32"));
}

/// How many columns `outlier_columns` lists; the checks of its values come with them.
Index outlier_count(const TensorSource& source, const std::string& name) {
  const TensorInfo& info = source.info(name);
  if (info.shape.size() != 1 || info.shape[0] < 1) refuse(source, name, "is no list of columns");
  return info.shape[0];
}

/// The plan of which encode would have stored this module: from config, shape, and the headers of its tensors, each of
/// which is as tensors() has it. Nothing if it is not stored in this way.
std::optional<MatrixPlan> stored_plan(const NativeFormat& format, const TensorSource& source, const Json& config,
                                      std::string_view module) {
  const Names names(module);
  if (source.find(names.codes) == nullptr && source.find(names.planes) == nullptr) return std::nullopt;
  const detail::NativeSetting setting = detail::native_setting(config, module);
  MatrixPlan plan;
  plan.module = module;
  const auto [out, in] = read_shape(source, names.shape);
  plan.rows = out;
  plan.cols = in;
  plan.grid.bits = setting.bits;
  plan.grid.group_size = setting.group_size;
  plan.grid.symmetric = setting.symmetric;
  plan.grid.scale_type = read_scale_type(source, setting.binary_coded ? names.alphas : names.scales);
  plan.binary_coded = setting.binary_coded;
  plan.group_index = setting.group_index;
  if (setting.outliers) plan.outlier_columns = outlier_count(source, names.outlier_columns);

  const std::vector<TensorInfo> wanted = format.tensors(plan);
  for (const TensorInfo& tensor : wanted) {
    const TensorInfo& got = source.info(tensor.name);
    if (got.dtype == tensor.dtype && got.shape == tensor.shape) continue;
    refuse(source, tensor.name,
           concat("is ", dtype_name(got.dtype), " ", shape_text(got.shape), ", wanted ", dtype_name(tensor.dtype), " ",
                  shape_text(tensor.shape), " of a matrix [", plan.rows, ", ", plan.cols, "] as config.json has it"));
  }
  for (const std::string* name : {&names.codes, &names.scales, &names.zeros, &names.planes, &names.alphas,
                                  &names.biases, &names.group_index, &names.outlier_columns, &names.outlier_values}) {
    const auto is_it = [&](const TensorInfo& tensor) { return tensor.name == *name; };
    if (source.find(*name) != nullptr && std::none_of(wanted.begin(), wanted.end(), is_it))
      refuse(source, *name, "is there, but config.json says that this module has none");
  }
  return plan;
}

UniformGrid read_uniform(const TensorSource& source, const Names& names, const MatrixPlan& plan) {
  UniformGrid grid;
  grid.bits = plan.grid.bits;
  grid.symmetric = plan.grid.symmetric;
  grid.group_size = plan.grid.group_columns(plan.cols);
  grid.scale_type = dtype_of(plan.grid.scale_type);
  grid.scales = source.matrix(names.scales);
  if (grid.symmetric) {
    grid.zeros = Matrix<std::uint8_t>(plan.rows, grid.groups(), static_cast<std::uint8_t>(1 << (grid.bits - 1)));
  } else {
    Matrix<std::uint8_t> zeros(grid.groups(), plan.rows);
    unpack_codes(detail::read_words(source, names.zeros), grid.bits, WordLayout::Columns, zeros);
    grid.zeros = transposed(zeros);
  }
  return grid;
}

BinaryGrid read_binary(const TensorSource& source, const Names& names, const MatrixPlan& plan) {
  BinaryGrid grid;
  grid.bits = plan.grid.bits;
  grid.group_size = plan.grid.group_columns(plan.cols);
  grid.scale_type = dtype_of(plan.grid.scale_type);
  grid.alphas = source.matrix(names.alphas);
  grid.biases = source.matrix(names.biases);
  for (Index r = 0; r < plan.rows; ++r)
    for (Index i = 0; i < grid.alphas.cols(); ++i) {
      const float alpha = grid.alphas(r, i), most = i % grid.bits == 0 ? alpha : grid.alphas(r, i - 1);
      if (alpha < 0 || alpha > most)
        refuse(source, names.alphas,
               concat("holds ", alpha, " at row ", r, ", column ", i,
                      ", wanted alphas that descend from plane to plane ", "and are not negative"));
    }
  return grid;
}

Matrix<std::uint8_t> read_planes(const TensorSource& source, const std::string& name, const MatrixPlan& plan) {
  Matrix<std::uint32_t> words(plan.grid.bits * plan.rows, detail::plane_words(plan.cols));
  const auto bytes = source.bytes(name);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return detail::unpack_planes(words, plan.grid.bits, plan.cols);
}

OutlierColumns read_outliers(const TensorSource& source, const Names& names, const MatrixPlan& plan) {
  OutlierColumns outliers;
  std::int64_t last = -1;
  for (const std::int64_t column : detail::read_integers(source, names.outlier_columns)) {
    if (column <= last || column >= plan.cols)
      refuse(source, names.outlier_columns,
             concat("holds column ", column, ", wanted ", last + 1, " .. ", plan.cols - 1, ", ascending"));
    outliers.columns.push_back(static_cast<std::int32_t>(column));
    last = column;
  }
  outliers.values = source.matrix(names.outlier_values);
  outliers.dtype = source.info(names.outlier_values).dtype;
  return outliers;
}

Matrix<std::uint32_t> as_words(std::span<const std::int32_t> values) {
  Matrix<std::uint32_t> words(1, static_cast<Index>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) words.data()[i] = static_cast<std::uint32_t>(values[i]);
  return words;
}

}  // namespace

std::string_view NativeFormat::help() const {
  return "everything: outlier columns, binary coding, any bits and groups; read by halftone alone, see `export`";
}

void NativeFormat::adapt(GridOptions&, DType, bool) const {}

void NativeFormat::check(const MatrixPlan& plan) const {
  require(plan.rows > 0 && plan.cols > 0, Status::Unsupported, plan.module, ": format native: an empty matrix [",
          plan.rows, ", ", plan.cols, "]");
  const int least = plan.binary_coded ? 1 : 2;
  require(plan.grid.bits >= least && plan.grid.bits <= 8, Status::Unsupported, plan.module,
          ": format native cannot store ", plan.grid.bits, plan.binary_coded ? " planes" : " bits", ", wanted ", least,
          " .. 8");
}

std::vector<TensorInfo> NativeFormat::tensors(const MatrixPlan& plan) const {
  const Names names(plan.module);
  const int bits = plan.grid.bits;
  const Index groups = plan.grid.groups(plan.cols);
  const DType type = dtype_of(plan.grid.scale_type);
  std::vector<TensorInfo> list{{names.shape, DType::I64, {2}}};
  if (plan.binary_coded) {
    list.push_back({names.planes, DType::I32, {bits, plan.rows, detail::plane_words(plan.cols)}});
    list.push_back({names.alphas, type, {plan.rows, groups * bits}});
    list.push_back({names.biases, type, {plan.rows, groups}});
  } else {
    list.push_back({names.codes, DType::I32, {plan.rows, packed_words(plan.cols, bits)}});
    list.push_back({names.scales, type, {plan.rows, groups}});
    if (!plan.grid.symmetric) list.push_back({names.zeros, DType::I32, {packed_words(plan.rows, bits), groups}});
  }
  if (plan.group_index) list.push_back({names.group_index, DType::I32, {plan.cols}});
  if (plan.outlier_columns > 0) {
    list.push_back({names.outlier_columns, DType::I32, {plan.outlier_columns}});
    list.push_back({names.outlier_values, type, {plan.rows, plan.outlier_columns}});
  }
  return list;
}

void NativeFormat::encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const {
  detail::check_result(plan, matrix);
  const Names names(plan.module);
  const std::int64_t shape[] = {plan.rows, plan.cols};
  sink(names.shape, std::as_bytes(std::span(shape)));
  if (plan.binary_coded) {
    const BinaryGrid& grid = matrix.binary();
    detail::send(sink, names.planes, detail::pack_planes(matrix.codes, grid.bits));
    detail::send(sink, names.alphas, grid.alphas, grid.scale_type);
    detail::send(sink, names.biases, grid.biases, grid.scale_type);
  } else {
    const UniformGrid& grid = matrix.uniform();
    detail::send(sink, names.codes, pack_codes(matrix.codes, grid.bits, WordLayout::Rows));
    detail::send(sink, names.scales, grid.scales, grid.scale_type);
    if (!grid.symmetric)
      detail::send(sink, names.zeros, pack_codes(transposed(grid.zeros), grid.bits, WordLayout::Columns));
  }
  if (plan.group_index) {
    std::vector<std::int32_t> groups;
    for (Index j = 0; j < plan.cols; ++j) groups.push_back(static_cast<std::int32_t>(matrix.group_of(j)));
    detail::send(sink, names.group_index, as_words(groups));
  }
  if (plan.outlier_columns > 0) {
    const OutlierColumns& outliers = matrix.outliers;
    require(outliers.dtype == matrix.scale_type(), Status::Internal, plan.module, ": outlier columns of type ",
            dtype_name(outliers.dtype), ", planned ", dtype_name(matrix.scale_type()));
    detail::send(sink, names.outlier_columns, as_words(outliers.columns));
    detail::send(sink, names.outlier_values, outliers.values, outliers.dtype);
  }
}

void NativeFormat::describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string>) const {
  config.erase("quantization_config");
  if (!plans.empty()) config["quantization_config"] = detail::native_config(plans);
}

std::optional<StoredMatrix> NativeFormat::stored(const TensorSource& source, const Json& config,
                                                 std::string_view module) const {
  const auto plan = stored_plan(*this, source, config, module);
  if (!plan) return std::nullopt;
  StoredMatrix matrix{.module = plan->module,
                      .rows = plan->rows,
                      .cols = plan->cols,
                      .bits = plan->grid.bits,
                      .group_size = plan->grid.group_columns(plan->cols),
                      .symmetric = plan->grid.symmetric,
                      .group_index = plan->group_index,
                      .outlier_columns = plan->outlier_columns,
                      .binary_coded = plan->binary_coded,
                      .dtype = dtype_of(plan->grid.scale_type)};
  for (const TensorInfo& tensor : tensors(*plan)) matrix.bytes += tensor.bytes();
  return matrix;
}

std::unique_ptr<QuantizedMatrix> NativeFormat::decode(const TensorSource& source, const Json& config,
                                                      std::string_view module) const {
  const auto plan = stored_plan(*this, source, config, module);
  if (!plan) return nullptr;
  const Names names(module);
  auto matrix = std::make_unique<QuantizedMatrix>();
  if (plan->binary_coded) {
    matrix->grid = read_binary(source, names, *plan);
    matrix->codes = read_planes(source, names.planes, *plan);
  } else {
    matrix->grid = read_uniform(source, names, *plan);
    matrix->codes = Matrix<std::uint8_t>(plan->rows, plan->cols);
    unpack_codes(detail::read_words(source, names.codes), plan->grid.bits, WordLayout::Rows, matrix->codes);
  }
  if (plan->group_index)
    matrix->group_index = detail::read_group_index(source, names.group_index, plan->cols, matrix->groups());
  if (plan->outlier_columns > 0) matrix->outliers = read_outliers(source, names, *plan);
  return matrix;
}

}  // namespace halftone
