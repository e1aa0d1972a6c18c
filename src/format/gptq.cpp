#include "halftone/format/gptq.hpp"

#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "format/packed.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/version.hpp"
#include "halftone/quant/packing.hpp"

namespace halftone {
namespace {

constexpr int stored_widths[] = {2, 3, 4, 8};
constexpr Index alignment = 32;  // of in and out: the historic packers' unit

struct Names {
  std::string qweight, qzeros, scales, g_idx;
  explicit Names(std::string_view module)
      : qweight(detail::tensor_name(module, "qweight")),
        qzeros(detail::tensor_name(module, "qzeros")),
        scales(detail::tensor_name(module, "scales")),
        g_idx(detail::tensor_name(module, "g_idx")) {}
};

/// The module's name as a regular expression that matches it alone.
std::string exactly(std::string_view module) {
  std::string pattern = "^";
  for (const char c : module) {
    if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "$";
}

/// Modules whose setting differs from the common one, and those that stay dense.
Json dynamic_rules(const detail::Settings& settings, const detail::Setting& common, std::span<const std::string> kept) {
  Json rules = Json::object();
  for (const auto& [setting, modules] : settings) {
    if (setting == common) continue;
    for (const std::string& module : modules)
      rules["+:" + exactly(module)] = {{"bits", setting.bits},
                                       {"group_size", setting.group_size},
                                       {"sym", setting.symmetric},
                                       {"desc_act", setting.group_index}};
  }
  for (const std::string& module : kept)
    if (module != "lm_head") rules["-:" + exactly(module)] = Json::object();  // "lm_head" has a key of its own
  return rules;
}

/// What quantization_config says of a module: its own rule where one names it as `exactly` does, else the common keys.
class Rule {
 public:
  Rule(const Json& config, std::string_view module) : common_(detail::find_key(config, "quantization_config")) {
    const Json* rules = common_ == nullptr ? nullptr : detail::find_key(*common_, "dynamic");
    if (rules == nullptr) return;
    own_ = detail::find_key(*rules, "+:" + exactly(module));
    if (own_ == nullptr) own_ = detail::find_key(*rules, exactly(module));
  }

  std::int64_t integer(std::string_view key, std::int64_t missing) const {
    const std::int64_t common = common_ == nullptr ? missing : detail::integer_or(*common_, key, missing);
    return own_ == nullptr ? common : detail::integer_or(*own_, key, common);
  }
  bool flag(std::string_view key) const {
    for (const Json* object : {own_, common_})
      if (const Json* value = object == nullptr ? nullptr : detail::find_key(*object, key);
          value && value->is_boolean())
        return value->get<bool>();
    return false;
  }

 private:
  const Json* common_;
  const Json* own_ = nullptr;
};

}  // namespace

std::string_view GptqFormat::help() const {
  return version_ == 1 ? "GPTQ checkpoint, zeros stored less one: transformers, vLLM, SGLang, exllama; 2, 3, 4, 8 bits"
                       : "GPTQ checkpoint, zeros as they are: GPTQModel, recent vLLM and SGLang; 2, 3, 4, 8 bits";
}

void GptqFormat::adapt(GridOptions& grid, DType, bool explicit_scale_type) const {
  if (!explicit_scale_type) grid.scale_type = ScaleType::F16;
  if (version_ == 1 && !grid.symmetric) grid.minimum_zero = 1;
}

void GptqFormat::check(const MatrixPlan& plan) const {
  detail::check_codes(*this, plan, stored_widths);
  require(plan.rows % alignment == 0 && plan.cols % alignment == 0, Status::Unsupported, plan.module, ": format ",
          name(), " wants sizes that are multiples of ", alignment, ", got ", plan.rows, " outputs and ", plan.cols,
          " inputs");
  require(plan.grid.scale_type != ScaleType::F32, Status::Unsupported, plan.module, ": format ", name(),
          " stores scales as f16 or bf16, got f32");
  require(version_ == 2 || plan.grid.symmetric || plan.grid.minimum_zero >= 1, Status::Unsupported, plan.module,
          ": format gptq cannot store a zero point of 0; wanted minimum_zero 1, or format gptq_v2");
}

std::vector<TensorInfo> GptqFormat::tensors(const MatrixPlan& plan) const {
  const Names names(plan.module);
  const Index groups = plan.grid.groups(plan.cols);
  return {{names.qweight, DType::I32, {packed_words(plan.cols, plan.grid.bits), plan.rows}},
          {names.qzeros, DType::I32, {groups, packed_words(plan.rows, plan.grid.bits)}},
          {names.scales, dtype_of(plan.grid.scale_type), {groups, plan.rows}},
          {names.g_idx, DType::I32, {plan.cols}}};
}

void GptqFormat::encode(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSink& sink) const {
  detail::check_result(plan, matrix);
  const Names names(plan.module);
  const int bits = matrix.uniform().bits;
  Matrix<std::uint8_t> zeros = transposed(matrix.uniform().zeros);  // [G, out]
  if (version_ == 1)
    for (Index i = 0; i < zeros.size(); ++i) {
      require(zeros.data()[i] > 0, Status::Unsupported, plan.module, ": format gptq cannot store a zero point of 0");
      --zeros.data()[i];
    }
  Matrix<std::uint32_t> g_idx(1, plan.cols);
  for (Index j = 0; j < plan.cols; ++j) g_idx(0, j) = static_cast<std::uint32_t>(matrix.group_of(j));

  detail::send(sink, names.qweight, pack_codes(matrix.codes, bits, WordLayout::Columns));
  detail::send(sink, names.qzeros, pack_codes(zeros, bits, WordLayout::Rows));
  detail::send(sink, names.scales, detail::transposed_copy(matrix.uniform().scales), matrix.uniform().scale_type);
  detail::send(sink, names.g_idx, g_idx);
}

void GptqFormat::describe(Json& config, std::span<const MatrixPlan> plans, std::span<const std::string> kept) const {
  config.erase("quantization_config");
  if (plans.empty()) return;
  detail::Settings settings;
  bool lm_head = false, ordered = false;
  for (const MatrixPlan& plan : plans) {
    detail::Setting setting(plan);
    setting.act_order = false;  // leaves no trace in the tensors
    settings[setting].push_back(plan.module);
    lm_head = lm_head || plan.module == "lm_head";
    ordered = ordered || plan.act_order;
  }
  const detail::Setting& common = detail::most_common(settings);
  Json quantization = {{"quant_method", "gptq"},
                       {"bits", common.bits},
                       {"group_size", common.group_size},
                       {"desc_act", common.group_index},
                       {"sym", common.symmetric},
                       {"lm_head", lm_head},
                       {"static_groups", ordered && !common.group_index},
                       {"checkpoint_format", name()},
                       {"format", name()},
                       {"pack_dtype", "int32"}};
  Json dynamic = dynamic_rules(settings, common, kept);
  if (!dynamic.empty()) quantization["dynamic"] = std::move(dynamic);
  quantization["meta"] = {{"quantizer", {concat("halftone:", library_version())}}};
  config["quantization_config"] = std::move(quantization);
}

std::vector<std::pair<std::string, std::string>> GptqFormat::side_files(const Json& config) const {
  const Json* quantization = detail::find_key(config, "quantization_config");
  if (quantization == nullptr) return {};
  return {{"quantize_config.json", json_text(*quantization)}};
}

std::optional<StoredMatrix> GptqFormat::stored(const TensorSource& source, const Json& config,
                                               std::string_view module) const {
  const Names names(module);
  if (source.find(names.qweight) == nullptr) return std::nullopt;
  const auto [word_rows, out] = detail::words_shape(source, names.qweight);
  const auto [groups, zero_words] = detail::words_shape(source, names.qzeros);
  const TensorInfo& scales = source.info(names.scales);
  const auto refuse = [&](const std::string& name, const auto&... parts) {
    fail(Status::InvalidData, source.origin(name), ": tensor ", in_quotes(name), parts...);
  };
  // Sizes of out and in are multiples of 32, so words say the width without a config.
  const Index bits = zero_words * 32 / out, in = word_rows * 32 / std::max<Index>(bits, 1);
  const bool known = std::find(std::begin(stored_widths), std::end(stored_widths), bits) != std::end(stored_widths);
  if (!known || out % alignment != 0 || in % alignment != 0 || zero_words * 32 != out * bits ||
      word_rows * 32 != in * bits)
    refuse(names.qzeros, " of [", groups, ", ", zero_words, "] does not fit qweight [", word_rows, ", ", out,
           "] at 2, 3, 4 or 8 bits");
  if (scales.shape != std::vector<Index>{groups, out})
    refuse(names.scales, " is ", shape_text(scales.shape), ", wanted [", groups, ", ", out, "]");
  if (groups > in) refuse(names.scales, " has ", groups, " groups for ", in, " inputs");

  const Rule rule(config, module);
  GridOptions grid;
  grid.group_size = rule.integer("group_size", -1);
  const bool fits = grid.group_size != 0 && grid.groups(in) == groups;
  StoredMatrix matrix{.module = std::string(module),
                      .rows = out,
                      .cols = in,
                      .bits = static_cast<int>(bits),
                      .group_size = fits ? grid.group_columns(in) : (in + groups - 1) / groups,
                      .symmetric = rule.flag("sym"),
                      .group_index = rule.flag("desc_act"),
                      .dtype = scales.dtype};
  for (const std::string& name : {names.qweight, names.qzeros, names.scales, names.g_idx})
    if (const TensorInfo* info = source.find(name)) matrix.bytes += info->bytes();
  return matrix;
}

std::unique_ptr<QuantizedMatrix> GptqFormat::decode(const TensorSource& source, const Json& config,
                                                    std::string_view module) const {
  const auto layout = stored(source, config, module);
  if (!layout) return nullptr;
  const Names names(module);
  const Index groups = source.info(names.scales).shape[0];
  auto matrix = std::make_unique<QuantizedMatrix>();
  matrix->codes = Matrix<std::uint8_t>(layout->rows, layout->cols);
  unpack_codes(detail::read_words(source, names.qweight), layout->bits, WordLayout::Columns, matrix->codes);
  Matrix<std::uint8_t> zeros(groups, layout->rows);
  unpack_codes(detail::read_words(source, names.qzeros), layout->bits, WordLayout::Rows, zeros);
  if (version_ == 1)
    for (Index i = 0; i < zeros.size(); ++i)
      zeros.data()[i] = static_cast<std::uint8_t>((zeros.data()[i] + 1) & ((1 << layout->bits) - 1));

  UniformGrid& grid = matrix->uniform();
  grid.bits = layout->bits;
  grid.scale_type = layout->dtype;
  grid.scales = detail::transposed_copy(source.matrix(names.scales));
  grid.zeros = transposed(zeros);
  grid.symmetric = detail::all_middle(grid);
  grid.group_size = layout->group_size;
  if (source.find(names.g_idx) != nullptr)
    detail::set_groups(*matrix, detail::read_group_index(source, names.g_idx, layout->cols, groups));
  return matrix;
}

}  // namespace halftone
