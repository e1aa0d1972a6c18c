#include "halftone/pipeline/recipe.hpp"

#include <charconv>  // from_chars

#include "halftone/format/json.hpp"
#include "pipeline/json_fields.hpp"

namespace halftone {
namespace {

using nlohmann::json;

/// A JSON scalar as the text that set_option reads.
std::string option_value(const JsonFields& fields, const std::string& name, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  fields.check(value.is_boolean() || value.is_number(), name.c_str(), value, "a number, a string, true or false");
  return value.dump();
}

void read_options(JsonFields& parent, OptionMap& options) {
  const json* object = parent.find("options");
  if (object == nullptr) return;
  const JsonFields fields(*object, parent.who(), parent.path_of("options"));
  for (const auto& [name, value] : object->items()) options[name] = option_value(fields, name, value);
}

LayerRule read_rule(const json& object, const std::string& who, const std::string& path) {
  JsonFields fields(object, who, path);
  LayerRule rule;
  fields.read("match", rule.match);
  fields.read("keep", rule.keep);
  fields.read("method", rule.method);
  read_options(fields, rule.options);
  fields.finish();
  require(object.contains("match"), Status::InvalidData, who, ": ", path,
          " has no key match, wanted a regular expression");
  require(!rule.keep || (rule.method.empty() && rule.options.empty()), Status::InvalidData, who, ": ", path,
          " keeps its modules as they are and yet names a method or options");
  return rule;
}

void read_calibration(const json& object, const std::string& who, Calibration& calibration) {
  JsonFields fields(object, who, "/calibration");
  std::string file = calibration.file.string();
  fields.read("file", file);
  calibration.file = file;
  fields.read("windows", calibration.windows.windows);
  fields.read("window_length", calibration.windows.length);
  fields.read("seed", calibration.windows.seed);
  fields.finish();
}

void read_budget(JsonFields& fields, OutlierBudget& budget) {
  fields.read("target_bits", budget.target_bits);
  std::string word(word_of(budget.rule));
  fields.read("budget", word);
  const auto rule = parse_word<BudgetRule>(word);
  fields.check(rule.has_value(), "budget", word, "honest or paper");
  budget.rule = *rule;
  const json* shares = fields.find("budget_shares");
  if (shares == nullptr) return;
  const JsonFields each(*shares, fields.who(), fields.path_of("budget_shares"));
  for (const auto& [suffix, value] : shares->items()) {
    each.check(value.is_number(), suffix.c_str(), value, "a number");
    budget.shares[suffix] = value.get<double>();
  }
}

/// Text of an option in its own JSON type; text that is no value of the type stays text (the method refuses it later).
json typed(const OptionInfo* info, const std::string& text) {
  if (info == nullptr || info->type == OptionType::Choice) return text;
  if (info->type == OptionType::Flag && (text == "true" || text == "1")) return true;
  if (info->type == OptionType::Flag && (text == "false" || text == "0")) return false;
  const char* const end = text.data() + text.size();
  if (info->type == OptionType::Integer) {
    std::int64_t value = 0;
    if (const auto got = std::from_chars(text.data(), end, value); got.ec == std::errc() && got.ptr == end)
      return value;
  } else if (info->type == OptionType::Real) {
    double value = 0;
    if (const auto got = std::from_chars(text.data(), end, value); got.ec == std::errc() && got.ptr == end)
      return value;
  }
  return text;
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

/// "effort": "high", and "tune": {"steps": 300, "lookahead": 1} over it; as with --tune, what is not named keeps its
/// default.
void read_tune(JsonFields& fields, std::optional<TuneOptions>& tune) {
  std::string word;
  fields.read("effort", word);
  if (!word.empty()) {
    const auto effort = parse_word<Effort>(word);
    fields.check(effort.has_value(), "effort", word, "low, medium, high or max");
    tune = tuning_of(*effort);
  }
  const json* object = fields.find("tune");
  if (object == nullptr) return;
  const JsonFields given(*object, fields.who(), fields.path_of("tune"));
  std::string text;
  for (const auto& [name, value] : object->items())
    text += concat(text.empty() ? "" : ",", name, "=", option_value(given, name, value));
  tune = parse_tune(text, word.empty() ? TuneOptions{} : *tune);
}

json tune_json(const TuneOptions& tune) {
  json object = json::object();
  for (const OptionInfo& info : describe_options<TuneOptions>())
    object[info.name] = typed(&info, *option_text(tune, info.name));
  return object;
}

Recipe read_recipe(const json& document, const std::string& who, const Recipe& base) {
  JsonFields fields(document, who, "");
  Recipe recipe = base;
  fields.read("method", recipe.method);
  fields.read("format", recipe.format);
  read_options(fields, recipe.options);
  if (const json* layers = fields.find("layers")) {
    fields.check(layers->is_array(), "layers", *layers, "an array of rules");
    recipe.layers.clear();
    for (std::size_t i = 0; i < layers->size(); ++i)
      recipe.layers.push_back(read_rule((*layers)[i], who, concat("/layers/", i)));
  }
  if (const json* calibration = fields.find("calibration")) read_calibration(*calibration, who, recipe.calibration);
  read_budget(fields, recipe.budget);
  std::string compute(word_of(recipe.compute));
  fields.read("compute", compute);
  const auto parsed = parse_word<Compute>(compute);
  fields.check(parsed.has_value(), "compute", compute, "auto, float or bf16");
  recipe.compute = *parsed;
  read_tune(fields, recipe.tune);
  fields.finish();
  return recipe;
}

}  // namespace

Recipe parse_recipe(std::string_view text, std::string_view who, const Recipe& base) {
  return read_recipe(parse_json<json>(text, who), std::string(who), base);
}

Recipe load_recipe(const std::filesystem::path& file, const Recipe& base) {
  return read_recipe(read_json<json>(file), "recipe " + file.string(), base);
}

json options_json(std::string_view method, const OptionMap& options) {
  const Method& row = find_method(method);
  json object = json::object();
  for (const auto& [name, text] : options) {
    const OptionInfo* info = nullptr;
    for (const OptionInfo& candidate : row.options)
      if (candidate.name == name) info = &candidate;
    object[name] = typed(info, text);
  }
  return object;
}

json recipe_json(const Recipe& recipe) {
  json layers = json::array();
  for (const LayerRule& rule : recipe.layers) {
    json object = {{"match", rule.match}};
    if (rule.keep) object["keep"] = true;
    if (!rule.method.empty()) object["method"] = rule.method;
    if (!rule.options.empty())
      object["options"] = options_json(rule.method.empty() ? recipe.method : rule.method, rule.options);
    layers.push_back(std::move(object));
  }
  const WindowOptions& windows = recipe.calibration.windows;
  json document = {{"method", recipe.method},
                   {"options", options_json(recipe.method, recipe.options)},
                   {"layers", std::move(layers)},
                   {"format", recipe.format},
                   {"calibration",
                    {{"file", recipe.calibration.file.string()},
                     {"windows", or_null(windows.windows)},
                     {"window_length", or_null(windows.length)},
                     {"seed", or_null(windows.seed)}}},
                   {"target_bits", recipe.budget.target_bits},
                   {"budget", word_of(recipe.budget.rule)},
                   {"budget_shares", recipe.budget.shares},
                   {"compute", word_of(recipe.compute)}};
  if (recipe.tune) document["tune"] = tune_json(*recipe.tune);
  return document;
}

}  // namespace halftone
