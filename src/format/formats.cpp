// The registry of checkpoint formats.
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "format/native_config.hpp"
#include "format/packed.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/compressed_tensors.hpp"
#include "halftone/format/dense.hpp"
#include "halftone/format/format.hpp"
#include "halftone/format/gptq.hpp"
#include "halftone/format/native.hpp"

namespace halftone {
namespace {

const DenseFormat dense;
const CompressedTensorsFormat compressed_tensors;
const GptqFormat gptq(1), gptq_v2(2);
const NativeFormat native;

/// Text of a key of quantization_config, or "".
std::string text_of(const Json& quantization, std::string_view key) {
  const Json* value = detail::find_key(quantization, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

const Format* detect_gptq(const Json& quantization) {
  std::string layout = text_of(quantization, "checkpoint_format");
  if (layout.empty()) layout = text_of(quantization, "format");
  if (layout.empty() || layout == "gptq") return &gptq;  // files older than the key are v1
  if (layout == "gptq_v2") return &gptq_v2;
  fail(Status::Unsupported, "config.json: GPTQ weights of checkpoint_format ", in_quotes(layout),
       ", wanted gptq or gptq_v2");
}

}  // namespace

std::span<const Format* const> formats() {
  static constexpr const Format* list[] = {&compressed_tensors, &gptq, &gptq_v2, &native, &dense};
  return list;
}

const Format& find_format(std::string_view name) {
  std::string names;
  for (const Format* format : formats()) {
    if (format->name() == name) return *format;
    names += (names.empty() ? "" : ", ") + std::string(format->name());
  }
  fail(Status::NotFound, "no format ", in_quotes(name), ", wanted one of ", names);
}

const Format* detect_format(const Json& config) {
  const Json* quantization = detail::find_key(config, "quantization_config");
  if (quantization == nullptr || quantization->is_null()) return nullptr;
  const std::string method = text_of(*quantization, "quant_method");
  require(!method.empty(), Status::InvalidData, "config.json: quantization_config has no 'quant_method'");
  if (method == "gptq") return detect_gptq(*quantization);
  if (method == "halftone") {
    detail::check_native_version(*quantization);
    return &native;
  }
  if (method == "compressed-tensors") {
    const std::string layout = text_of(*quantization, "format");
    require(layout == "pack-quantized", Status::Unsupported, "config.json: compressed-tensors weights of format ",
            in_quotes(layout), ", wanted pack-quantized");
    return &compressed_tensors;
  }
  fail(Status::Unsupported, "config.json: the checkpoint is quantised with ", in_quotes(method),
       ", which no reader here knows");
}

}  // namespace halftone
