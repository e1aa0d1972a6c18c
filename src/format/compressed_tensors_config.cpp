#include "format/compressed_tensors_config.hpp"

#include <algorithm>  // find
#include <charconv>   // from_chars
#include <nlohmann/json.hpp>

#include "format/packed.hpp"
#include "halftone/core/error.hpp"

namespace halftone::detail {
namespace {

/// The version whose bytes are written: the first with dense packing of every width.
constexpr std::string_view written_version = "0.18.0";

/// Whole rows are a strategy of their own, however they were asked for.
Setting setting_of(const MatrixPlan& plan) {
  Setting setting(plan);
  if (plan.grid.group_columns(plan.cols) == plan.cols) setting.group_size = -1;
  return setting;
}

Json config_group(const Setting& setting, const Json& targets) {
  const bool rows = setting.group_size < 0;
  const Json weights = {{"num_bits", setting.bits},
                        {"type", "int"},
                        {"symmetric", setting.symmetric},
                        {"strategy", rows ? "channel" : "group"},
                        {"group_size", rows ? Json(nullptr) : Json(setting.group_size)},
                        {"actorder", setting.act_order ? Json("static") : Json(nullptr)},
                        {"dynamic", false},
                        {"block_structure", nullptr},
                        {"observer", "minmax"},
                        {"observer_kwargs", Json::object()}};
  return {{"targets", targets},
          {"weights", weights},
          {"input_activations", nullptr},
          {"output_activations", nullptr},
          {"format", "pack-quantized"}};
}

/// True if the version is below 0.18, which packed loosely; unknown versions are taken as recent.
bool packs_loosely(const Json& quantization) {
  const Json* version = find_key(quantization, "version");
  if (version == nullptr || !version->is_string()) return false;
  const auto& text = version->get_ref<const std::string&>();
  int major = 0, minor = 0;
  const auto [dot, error] = std::from_chars(text.data(), text.data() + text.size(), major);
  if (error != std::errc() || dot == text.data() + text.size()) return false;
  if (std::from_chars(dot + 1, text.data() + text.size(), minor).ec != std::errc()) return false;
  return major == 0 && minor < 18;
}

bool names_module(const Json& group, std::string_view module) {
  const Json* targets = find_key(group, "targets");
  return targets != nullptr && targets->is_array() &&
         std::any_of(targets->begin(), targets->end(), [&](const Json& target) {
           return target.is_string() && target.get_ref<const std::string&>() == module;
         });
}

}  // namespace

Json compressed_tensors_config(std::span<const MatrixPlan> plans, std::span<const std::string> kept) {
  Settings settings;
  for (const MatrixPlan& plan : plans) settings[setting_of(plan)].push_back(plan.module);
  Json groups = Json::object();
  for (const auto& [setting, modules] : settings)
    groups["group_" + std::to_string(groups.size())] =
        config_group(setting, settings.size() == 1 ? Json::array({"Linear"}) : Json(modules));
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"version", written_version},
          {"global_compression_ratio", nullptr},
          {"kv_cache_scheme", nullptr},
          {"ignore", Json(std::vector<std::string>(kept.begin(), kept.end()))},
          {"config_groups", groups}};
}

std::optional<PackedWidth> find_packed_width(const Json& config, std::string_view module, Index codes, Index words) {
  const Json* quantization = find_key(config, "quantization_config");
  const Json* groups = quantization == nullptr ? nullptr : find_key(*quantization, "config_groups");
  require(groups != nullptr && groups->is_object(), Status::InvalidData,
          "config.json: quantization_config has no object 'config_groups'");
  if (codes > words * 16) return std::nullopt;  // a word holds at most 16; larger numbers may be anything
  const bool old = packs_loosely(*quantization);
  std::optional<PackedWidth> found;
  int best = 4;  // a group that names the module goes before others, then the version's packing before the other
  for (const Json& group : *groups) {
    const Json* weights = find_key(group, "weights");
    const std::int64_t bits = weights == nullptr ? 0 : integer_or(*weights, "num_bits", 0);
    if (bits < 2 || bits > 8) continue;
    const int unnamed = names_module(group, module) ? 0 : 2;
    for (const bool loose : {old, !old}) {
      const PackedWidth width{static_cast<int>(bits), loose && 32 % bits != 0};
      const int rank = unnamed + (loose == old ? 0 : 1);
      if (rank >= best || width.words(codes) != words) continue;
      found = width;
      best = rank;
    }
  }
  return found;
}

}  // namespace halftone::detail
