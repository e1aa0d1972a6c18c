#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/method_flags.hpp"
#include "halftone/format/format.hpp"

namespace halftone::cli {
namespace {

using nlohmann::json;

constexpr std::string_view type_words[] = {"flag", "integer", "real", "choice"};

json option_json(const OptionInfo& info) {
  json object = {{"name", info.name},
                 {"type", type_words[static_cast<std::size_t>(info.type)]},
                 {"default", info.default_value},
                 {"help", info.help}};
  if (info.type == OptionType::Choice) object["choices"] = info.choices;
  if (info.type == OptionType::Integer || info.type == OptionType::Real) {
    object["minimum"] = info.minimum;
    object["maximum"] = info.maximum;
  }
  return object;
}

json listing() {
  json rows = json::array(), format_rows = json::array();
  for (const Method& method : methods()) {
    json options = json::array();
    for (const OptionInfo& info : method.options) options.push_back(option_json(info));
    rows.push_back({{"name", method.name}, {"help", method.help}, {"paper", method.paper}, {"options", options}});
  }
  for (const Format* format : formats()) format_rows.push_back({{"name", format->name()}, {"help", format->help()}});
  return {{"methods", std::move(rows)}, {"formats", std::move(format_rows)}};
}

std::string table() {
  std::string text = "Methods (--method)\n";
  for (const Method& method : methods()) {
    text += fmt::format("\n  {}  {}", method.name, method.help);
    text += method.paper.empty() ? "\n" : fmt::format(" ({})\n", method.paper);
    for (const OptionInfo& info : method.options)
      text += fmt::format("    {:<16} {}\n    {:<16} {}; default {}\n", flag_name(info.name), info.help, "",
                          values_of(info), info.default_value);
  }
  text += "\nFormats (--format)\n\n";
  for (const Format* format : formats()) text += fmt::format("  {:<20} {}\n", format->name(), format->help());
  return text;
}

}  // namespace

void add_methods(CLI::App& app, Common& common) {
  CLI::App* command =
      app.add_subcommand("methods", "Lists methods with their options, defaults and bounds, and formats");
  add_common_flags(*command, common, Computes::Nothing);
  command->callback([&common] {
    if (common.json)
      print_json(listing());
    else
      print(table());
  });
}

}  // namespace halftone::cli
