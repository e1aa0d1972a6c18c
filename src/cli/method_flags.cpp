#include "cli/method_flags.hpp"

#include <algorithm>  // replace
#include <cmath>      // floor
#include <map>

namespace halftone::cli {
namespace {

/// An option with the methods that have it. The same name means the same thing in all of them.
struct SharedOption {
  OptionInfo info;
  std::string methods;
};

std::vector<SharedOption> shared_options() {
  std::vector<SharedOption> list;
  for (const Method& method : methods())
    for (const OptionInfo& info : method.options) {
      auto found =
          std::find_if(list.begin(), list.end(), [&](const auto& known) { return known.info.name == info.name; });
      if (found == list.end()) found = list.insert(list.end(), {info, ""});
      found->methods += (found->methods.empty() ? "" : ", ") + std::string(method.name);
    }
  return list;
}

std::string number_text(double value) {
  return value == std::floor(value) ? std::to_string(static_cast<std::int64_t>(value)) : concat(value);
}

}  // namespace

std::string flag_name(const std::string& option) {
  std::string name = "--" + option;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string values_of(const OptionInfo& info) {
  if (info.type == OptionType::Flag) return "yes or no";
  if (info.type == OptionType::Choice) {
    std::string list;
    for (const std::string& word : info.choices) list += (list.empty() ? "" : ", ") + word;
    return list;
  }
  std::string text = number_text(info.minimum) + " .. " + number_text(info.maximum);
  for (const std::string& word : info.choices) text += " or " + word;
  return text;
}

void set_from_text(OptionMap& options, const std::string& text) {
  const std::size_t equals = text.find('=');
  require(equals != std::string::npos && equals > 0, Status::InvalidArgument, "option '", text, "', wanted NAME=VALUE");
  options[text.substr(0, equals)] = text.substr(equals + 1);
}

void add_method_flags(CLI::App& command, OptionMap& options) {
  for (const SharedOption& shared : shared_options()) {
    const OptionInfo& info = shared.info;
    const std::string flag = flag_name(info.name);
    const std::string help =
        info.help + " [" + values_of(info) + "; default " + info.default_value + "] (" + shared.methods + ")";
    CLI::Option* option = nullptr;
    if (info.type == OptionType::Flag) {
      const auto set = [&options, name = info.name](std::int64_t count) {
        options[name] = count > 0 ? "true" : "false";
      };
      option = command.add_flag_function(flag + ",!--no-" + flag.substr(2), set, help);
    } else {
      const auto set = [&options, name = info.name](const std::string& text) { options[name] = text; };
      option = command.add_option_function<std::string>(flag, set, help);
      option->type_name(info.type == OptionType::Integer ? "INT" : info.type == OptionType::Real ? "REAL" : "WORD");
    }
    option->group("Options of methods (`halftone methods` lists them by method)");
  }
  const auto set = [&options](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) set_from_text(options, text);
  };
  command.add_option_function<std::vector<std::string>>("--set", set, "any option of the method by its name")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all()
      ->group("Options of methods (`halftone methods` lists them by method)");
}

}  // namespace halftone::cli
