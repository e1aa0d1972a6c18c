#include "format/native_config.hpp"

#include <algorithm>  // any_of, max_element
#include <map>
#include <nlohmann/json.hpp>

#include "format/message.hpp"
#include "format/packed.hpp"
#include "halftone/core/version.hpp"
#include "halftone/format/native.hpp"

namespace halftone::detail {
namespace {

NativeSetting setting_of(const MatrixPlan& plan) {
  const bool whole_rows = plan.grid.group_columns(plan.cols) == plan.cols;  // however they were asked for
  return {.binary_coded = plan.binary_coded,
          .bits = plan.grid.bits,
          .group_size = whole_rows ? -1 : plan.grid.group_size,
          .symmetric = plan.grid.symmetric && !plan.binary_coded,
          .group_index = plan.group_index,
          .outliers = plan.outlier_columns > 0};
}

Json setting_json(const NativeSetting& setting) {
  return {{"coding", setting.binary_coded ? "binary" : "uniform"},
          {"bits", setting.bits},
          {"group_size", setting.group_size},
          {"symmetric", setting.symmetric},
          {"group_index", setting.group_index},
          {"outliers", setting.outliers}};
}

[[noreturn]] void refuse(std::string_view module, std::string_view what) {
  fail(Status::InvalidData, "config.json: quantization_config, setting of ", in_quotes(module), ": ", what);
}

bool flag(const Json& setting, std::string_view key, std::string_view module) {
  const Json* value = find_key(setting, key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) refuse(module, concat("'", key, "' is neither true nor false"));
  return value->get<bool>();
}

bool names(const Json& modules, std::string_view module) {
  return modules.is_array() && std::any_of(modules.begin(), modules.end(), [&](const Json& name) {
           return name.is_string() && name.get_ref<const std::string&>() == module;
         });
}

/// Null if none is meant for the module.
const Json* find_setting(const Json& settings, std::string_view module) {
  const Json* common = nullptr;
  for (const Json& setting : settings) {
    const Json* modules = find_key(setting, "modules");
    if (modules == nullptr && common == nullptr) common = &setting;
    if (modules != nullptr && names(*modules, module)) return &setting;
  }
  return common;
}

}  // namespace

Json native_config(std::span<const MatrixPlan> plans) {
  std::map<NativeSetting, std::vector<std::string>> modules;
  for (const MatrixPlan& plan : plans) modules[setting_of(plan)].push_back(plan.module);
  const auto common = std::max_element(modules.begin(), modules.end(),
                                       [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  Json settings = Json::array({setting_json(common->first)});
  for (auto entry = modules.begin(); entry != modules.end(); ++entry) {
    if (entry == common) continue;
    settings.push_back(setting_json(entry->first));
    settings.back()["modules"] = entry->second;
  }
  return {{"quant_method", "halftone"},
          {"version", NativeFormat::version},
          {"producer", concat("halftone ", library_version())},
          {"settings", std::move(settings)}};
}

void check_native_version(const Json& quantization) {
  const std::int64_t version = integer_or(quantization, "version", 0);
  require(version >= 1, Status::InvalidData,
          "config.json: quantization_config of halftone has no 'version', wanted a number from 1 on");
  require(version <= NativeFormat::version, Status::Unsupported, "config.json: native format of version ", version,
          ", this halftone (", library_version(), ") reads version ", NativeFormat::version, "; a newer one is needed");
}

NativeSetting native_setting(const Json& config, std::string_view module) {
  const Json* quantization = find_key(config, "quantization_config");
  if (quantization == nullptr) refuse(module, "there is no quantization_config");
  check_native_version(*quantization);
  const Json* settings = find_key(*quantization, "settings");
  if (settings == nullptr || !settings->is_array()) refuse(module, "there is no list 'settings'");
  const Json* found = find_setting(*settings, module);
  if (found == nullptr) refuse(module, "none names it, and each has a list 'modules'");

  const Json* coding = find_key(*found, "coding");
  const bool uniform = coding != nullptr && *coding == "uniform";
  if (!uniform && (coding == nullptr || *coding != "binary")) refuse(module, "'coding' is neither uniform nor binary");
  const std::int64_t bits = integer_or(*found, "bits", 0), group_size = integer_or(*found, "group_size", 0);
  if (bits < (uniform ? 2 : 1) || bits > 8)
    refuse(module, concat("'bits' is no number, or ", bits, ", wanted ", uniform ? 2 : 1, " .. 8"));
  if (group_size != -1 && group_size < 1)
    refuse(module, concat("'group_size' is no number, or ", group_size, ", wanted -1 or columns"));
  const bool symmetric = flag(*found, "symmetric", module);
  if (symmetric && !uniform) refuse(module, "'symmetric' is true with binary coding, which has no zeros");
  return {.binary_coded = !uniform,
          .bits = static_cast<int>(bits),
          .group_size = group_size,
          .symmetric = symmetric,
          .group_index = flag(*found, "group_index", module),
          .outliers = flag(*found, "outliers", module)};
}

}  // namespace halftone::detail
