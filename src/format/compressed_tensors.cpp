#include "halftone/format/compressed_tensors.hpp"

#include <nlohmann/json.hpp>

#include "format/compressed_tensors_config.hpp"
#include "format/message.hpp"
#include "format/packed.hpp"
#include "halftone/core/error.hpp"
#include "halftone/quant/packing.hpp"

namespace halftone {
namespace {

constexpr int stored_widths[] = {2, 3, 4, 5, 6, 7, 8};

struct Names {
  std::string packed, scale, zero, shape, g_idx;
  explicit Names(std::string_view module)
      : packed(detail::tensor_name(module, "weight_packed")),
        scale(detail::tensor_name(module, "weight_scale")),
        zero(detail::tensor_name(module, "weight_zero_point")),
        shape(detail::tensor_name(module, "weight_shape")),
        g_idx(detail::tensor_name(module, "weight_g_idx")) {}
};

/// Rows of words with floor(32 / bits) codes each, as versions up to 0.17 packed them.
void unpack_loose(const Matrix<std::uint32_t>& words, int bits, Matrix<std::uint8_t>& codes) {
  const Index per_word = 32 / bits;
  for (Index i = 0; i < codes.rows(); ++i)
    for (Index j = 0; j < codes.cols(); ++j)
      codes(i, j) = static_cast<std::uint8_t>(words(i, j / per_word) >> j % per_word * bits & ((1u << bits) - 1));
}

void unpack_rows(const Matrix<std::uint32_t>& words, const detail::PackedWidth& width, Matrix<std::uint8_t>& codes) {
  if (width.loose)
    unpack_loose(words, width.bits, codes);
  else
    unpack_codes(words, width.bits, WordLayout::Rows, codes);
}

/// {out, in} of weight_shape.
std::pair<Index, Index> read_shape(const TensorSource& source, const std::string& name) {
  const auto shape = detail::read_integers(source, name);
  require(shape.size() == 2 && shape[0] > 0 && shape[1] > 0, Status::InvalidData, source.origin(name), ": tensor ",
          in_quotes(name), " is no shape of a matrix");
  return {shape[0], shape[1]};
}

/// Zeros [out, groups] from words [packed_words(out), groups].
Matrix<std::uint8_t> read_zeros(const TensorSource& source, const std::string& name, const detail::PackedWidth& width,
                                Index out, Index groups) {
  const auto words = detail::read_words(source, name);
  require(words.rows() == width.words(out) && words.cols() == groups, Status::InvalidData, source.origin(name),
          ": tensor ", in_quotes(name), " is [", words.rows(), ", ", words.cols(), "], wanted [", width.words(out),
          ", ", groups, "]");
  Matrix<std::uint8_t> zeros(groups, out);
  unpack_rows(detail::transposed_copy(words), width, zeros);
  return transposed(zeros);
}

}  // namespace

std::string_view CompressedTensorsFormat::help() const {
  return "pack-quantized checkpoint of llm-compressor: vLLM, SGLang, transformers; 4 and 8 bits load widest";
}

void CompressedTensorsFormat::adapt(GridOptions& grid, DType model_dtype, bool explicit_scale_type) const {
  if (explicit_scale_type) return;
  grid.scale_type = model_dtype == DType::F32   ? ScaleType::F32
                    : model_dtype == DType::F16 ? ScaleType::F16
                                                : ScaleType::BF16;
}

void CompressedTensorsFormat::check(const MatrixPlan& plan) const {
  detail::check_codes(*this, plan, stored_widths);
  require(!plan.group_index, Status::Unsupported, plan.module, ": format ", name(),
          " stores no group index; wanted static groups, or format gptq");
  const Index width = plan.grid.group_columns(plan.cols);
  require(plan.cols % width == 0, Status::Unsupported, plan.module, ": format ", name(),
          " wants groups that divide the inputs, got groups of ", width, " and ", plan.cols, " inputs");
}

std::vector<TensorInfo> CompressedTensorsFormat::tensors(const MatrixPlan& plan) const {
  const Names names(plan.module);
  const int bits = plan.grid.bits;
  const Index groups = plan.grid.groups(plan.cols);
  std::vector<TensorInfo> list{{names.packed, DType::I32, {plan.rows, packed_words(plan.cols, bits)}},
                               {names.scale, dtype_of(plan.grid.scale_type), {plan.rows, groups}}};
  if (!plan.grid.symmetric) list.push_back({names.zero, DType::I32, {packed_words(plan.rows, bits), groups}});
  list.push_back({names.shape, DType::I64, {2}});
  return list;
}

void CompressedTensorsFormat::encode(const MatrixPlan& plan, const QuantizedMatrix& matrix,
                                     const TensorSink& sink) const {
  detail::check_result(plan, matrix);
  const Names names(plan.module);
  const UniformGrid& grid = matrix.uniform();
  detail::send(sink, names.packed, pack_codes(matrix.codes, grid.bits, WordLayout::Rows));
  detail::send(sink, names.scale, grid.scales, grid.scale_type);
  if (!grid.symmetric)
    detail::send(sink, names.zero, pack_codes(transposed(grid.zeros), grid.bits, WordLayout::Columns));
  const std::int64_t shape[] = {plan.rows, plan.cols};
  sink(names.shape, std::as_bytes(std::span(shape)));
}

void CompressedTensorsFormat::describe(Json& config, std::span<const MatrixPlan> plans,
                                       std::span<const std::string> kept) const {
  config.erase("quantization_config");
  if (!plans.empty()) config["quantization_config"] = detail::compressed_tensors_config(plans, kept);
}

std::optional<StoredMatrix> CompressedTensorsFormat::stored(const TensorSource& source, const Json& config,
                                                            std::string_view module) const {
  const Names names(module);
  if (source.find(names.packed) == nullptr) return std::nullopt;
  const auto [word_rows, words] = detail::words_shape(source, names.packed);
  const auto [out, in] = read_shape(source, names.shape);
  const auto refuse = [&](const std::string& name, const auto&... parts) {
    fail(Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name), parts...);
  };
  const auto width = detail::find_packed_width(config, module, in, words);
  if (word_rows != out || !width)
    refuse(names.packed, " is [", word_rows, ", ", words, "], which fits no config group for a matrix of [", out, ", ",
           in, "]");
  const TensorInfo& scale = source.info(names.scale);
  const Index groups = scale.shape.size() == 2 ? scale.shape[1] : 0;
  if (groups <= 0 || scale.shape[0] != out || in % groups != 0)
    refuse(names.scale, " is ", shape_text(scale.shape), ", wanted ", out, " rows of groups that divide ", in);
  StoredMatrix matrix{.module = std::string(module),
                      .rows = out,
                      .cols = in,
                      .bits = width->bits,
                      .group_size = in / groups,
                      .symmetric = source.find(names.zero) == nullptr,
                      .group_index = source.find(names.g_idx) != nullptr,
                      .dtype = scale.dtype};
  for (const std::string& name : {names.packed, names.scale, names.zero, names.shape, names.g_idx})
    if (const TensorInfo* info = source.find(name)) matrix.bytes += info->bytes();
  return matrix;
}

std::unique_ptr<QuantizedMatrix> CompressedTensorsFormat::decode(const TensorSource& source, const Json& config,
                                                                 std::string_view module) const {
  const auto layout = stored(source, config, module);
  if (!layout) return nullptr;
  const Names names(module);
  const auto words = detail::read_words(source, names.packed);
  const auto width = *detail::find_packed_width(config, module, layout->cols, words.cols());
  const Index out = layout->rows, groups = layout->cols / layout->group_size;
  auto matrix = std::make_unique<QuantizedMatrix>();
  matrix->codes = Matrix<std::uint8_t>(out, layout->cols);
  unpack_rows(words, width, matrix->codes);
  UniformGrid& grid = matrix->uniform();
  grid.bits = layout->bits;
  grid.symmetric = layout->symmetric;
  grid.group_size = layout->group_size;
  grid.scale_type = layout->dtype;
  grid.scales = source.matrix(names.scale);
  grid.zeros = grid.symmetric ? Matrix<std::uint8_t>(out, groups, static_cast<std::uint8_t>(1 << (grid.bits - 1)))
                              : read_zeros(source, names.zero, width, out, groups);
  if (layout->group_index)
    detail::set_groups(*matrix, detail::read_group_index(source, names.g_idx, layout->cols, groups));
  return matrix;
}

}  // namespace halftone
