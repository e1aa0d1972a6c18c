#include "pipeline/module_rules.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>  // any_of

namespace halftone {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const noexcept { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* data) const noexcept { pcre2_match_data_free(data); }
};
struct FreeContext {
  void operator()(pcre2_match_context* context) const noexcept { pcre2_match_context_free(context); }
};

std::string message_of(int error) {
  PCRE2_UCHAR text[256] = {};
  pcre2_get_error_message(error, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

/// Options for `method`: what the rule says, over those of the recipe's options that the method knows.
OptionMap merged(const Recipe& recipe, const LayerRule& rule, const std::string& method) {
  OptionMap options = recipe.options;
  if (method != recipe.method) {
    const Method& row = find_method(method);
    std::erase_if(options, [&](const auto& option) {
      return std::none_of(row.options.begin(), row.options.end(),
                          [&](const OptionInfo& info) { return info.name == option.first; });
    });
  }
  for (const auto& [name, value] : rule.options) options[name] = value;
  return options;
}

}  // namespace

struct ModulePattern::State {
  std::string expression;
  std::unique_ptr<pcre2_code, FreeCode> code;
  std::unique_ptr<pcre2_match_data, FreeMatch> data;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
};

ModulePattern::ModulePattern(const std::string& expression) : state_(std::make_unique<State>()) {
  int error = 0;
  PCRE2_SIZE where = 0;
  state_->expression = expression;
  state_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), PCRE2_UTF,
                                   &error, &where, nullptr));
  if (!state_->code)
    fail(Status::InvalidArgument, "recipe: rule '", expression, "' is no regular expression: ", message_of(error),
         " at character ", where);
  state_->data.reset(pcre2_match_data_create_from_pattern(state_->code.get(), nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  if (!state_->data || !state_->context) throw std::bad_alloc();
  pcre2_set_match_limit(state_->context.get(), 1'000'000);
}
ModulePattern::~ModulePattern() = default;
ModulePattern::ModulePattern(ModulePattern&&) noexcept = default;

bool ModulePattern::matches(std::string_view module) const {
  const int result = pcre2_match(state_->code.get(), reinterpret_cast<PCRE2_SPTR>(module.data()), module.size(), 0, 0,
                                 state_->data.get(), state_->context.get());
  if (result < 0 && result != PCRE2_ERROR_NOMATCH)
    fail(Status::InvalidArgument, "recipe: rule '", state_->expression, "' on module ", module, ": ",
         message_of(result));
  return result >= 0;
}

ModuleRules::ModuleRules(const Recipe& recipe) : recipe_(recipe), used_(recipe.layers.size(), false) {
  find_method(recipe.method);
  for (const LayerRule& rule : recipe.layers) {
    patterns_.emplace_back(rule.match);
    if (!rule.method.empty()) find_method(rule.method);
  }
}

std::optional<ModuleChoice> ModuleRules::choose(std::string_view module) {
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    if (!patterns_[i].matches(module)) continue;
    const LayerRule& rule = recipe_.layers[i];
    used_[i] = true;
    if (rule.keep) return std::nullopt;
    const std::string& method = rule.method.empty() ? recipe_.method : rule.method;
    return ModuleChoice{method, merged(recipe_, rule, method)};
  }
  return ModuleChoice{recipe_.method, recipe_.options};
}

std::vector<std::string> ModuleRules::unused() const {
  std::vector<std::string> list;
  for (std::size_t i = 0; i < patterns_.size(); ++i)
    if (!used_[i]) list.push_back(recipe_.layers[i].match);
  return list;
}

}  // namespace halftone
