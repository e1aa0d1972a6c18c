#include <algorithm>  // find_if
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/format.hpp"

namespace halftone {

std::span<const Format* const> formats() { return {}; }

const Format& find_format(std::string_view name) {
  std::string names;
  for (const Format* format : formats()) {
    if (format->name() == name) return *format;
    names += (names.empty() ? "" : ", ") + std::string(format->name());
  }
  fail(Status::NotFound, "no format ", in_quotes(name), ", wanted one of ", names);
}

const Format* detect_format(const Json& config) {
  if (!config.is_object() || !config.contains("quantization_config") || config["quantization_config"].is_null())
    return nullptr;
  const Json& quantization = config["quantization_config"];
  const bool named =
      quantization.is_object() && quantization.contains("quant_method") && quantization["quant_method"].is_string();
  require(named, Status::InvalidData, "config.json: quantization_config has no 'quant_method'");
  fail(Status::Unsupported, "config.json: the checkpoint is quantised with ",
       in_quotes(quantization["quant_method"].get<std::string>()), ", which no reader here knows");
}

}  // namespace halftone
