#include "cli/recipe_flags.hpp"

#include "cli/method_flags.hpp"
#include "halftone/format/format.hpp"

namespace halftone::cli {
namespace {

/// "bits=4,method=rtn" for the modules that `expression` matches.
LayerRule rule_of(const std::string& expression, const std::string& settings) {
  LayerRule rule;
  rule.match = expression;
  std::size_t first = 0;
  while (first <= settings.size()) {
    const std::size_t comma = std::min(settings.find(',', first), settings.size());
    set_from_text(rule.options, settings.substr(first, comma - first));
    first = comma + 1;
  }
  if (const auto method = rule.options.extract("method")) rule.method = method.mapped();
  return rule;
}

void lay_over(OutlierBudget& budget, const RecipeArguments& arguments) {
  if (arguments.target_bits) budget.target_bits = *arguments.target_bits;
  if (arguments.budget) {
    const auto rule = parse_word<BudgetRule>(*arguments.budget);
    require(rule.has_value(), Status::InvalidArgument, "--budget is '", *arguments.budget, "', wanted honest or paper");
    budget.rule = *rule;
  }
  OptionMap shares;
  for (const std::string& text : arguments.shares) set_from_text(shares, text);
  for (const auto& [suffix, text] : shares) {
    const bool ok = detail::option_from_text(text, budget.shares[suffix]);
    require(ok, Status::InvalidArgument, "--budget-share ", suffix, "=", text, ", wanted SUFFIX=NUMBER");
  }
}

}  // namespace

Recipe recipe_of(const RecipeArguments& arguments) {
  Recipe recipe;
  if (!arguments.file.empty()) recipe = load_recipe(arguments.file);
  if (arguments.method) recipe.method = *arguments.method;
  if (arguments.format) recipe.format = *arguments.format;
  for (const auto& [name, value] : arguments.options) recipe.options[name] = value;
  lay_over(recipe.budget, arguments);
  if (arguments.compute) {
    const auto compute = parse_word<Compute>(*arguments.compute);
    require(compute.has_value(), Status::InvalidArgument, "--compute is '", *arguments.compute,
            "', wanted auto, float or bf16");
    recipe.compute = *compute;
  }
  if (arguments.effort) {
    const auto effort = parse_word<Effort>(*arguments.effort);
    require(effort.has_value(), Status::InvalidArgument, "--effort is '", *arguments.effort,
            "', wanted low, medium, high or max");
    recipe.tune = tuning_of(*effort);
  }
  if (arguments.tune) recipe.tune = parse_tune(*arguments.tune, arguments.effort ? *recipe.tune : TuneOptions{});
  std::vector<LayerRule> rules;
  for (const std::string& expression : arguments.keep) rules.push_back({expression, true, {}, {}});
  for (const auto& [expression, settings] : arguments.layers) rules.push_back(rule_of(expression, settings));
  recipe.layers.insert(recipe.layers.begin(), rules.begin(), rules.end());
  return recipe;
}

void lay_over(Calibration& calibration, const CalibrationArguments& arguments) {
  if (arguments.file) calibration.file = *arguments.file;
  if (arguments.windows) calibration.windows.windows = *arguments.windows;
  if (arguments.length) calibration.windows.length = *arguments.length;
  if (arguments.seed) calibration.windows.seed = arguments.seed;
}

void add_recipe_flags(CLI::App& command, RecipeArguments& arguments) {
  std::string names, format_names = "auto";
  for (const Method& method : methods()) names += (names.empty() ? "" : ", ") + std::string(method.name);
  for (const Format* format : formats()) format_names += ", " + std::string(format->name());
  command.add_option("--method", arguments.method, "one of " + names + " [default gptq]");
  command.add_option(
      "--format", arguments.format,
      "one of " + format_names + "; auto: compressed-tensors where it can express the result [default auto]");
  command
      .add_option("--recipe", arguments.file,
                  "method, options, rules, format and calibration from a JSON file; "
                  "flags come before it")
      ->type_name("FILE");
  command.add_option("--keep", arguments.keep, "leave the modules that the regular expression matches as they are")
      ->type_name("REGEX")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  command
      .add_option("--layer", arguments.layers,
                  "other options, or another method, for the modules that the regular "
                  "expression matches: --layer 'down_proj$' bits=4,group_size=32")
      ->type_name("REGEX NAME=VALUE,...")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--target-bits", arguments.target_bits,
                     "as many outlier columns as come to this many bits per weight [2 .. 16; 0: none]");
  command
      .add_option("--budget", arguments.budget,
                  "how these are counted: honest, all that is stored; paper, the rule of the OWQ code [default honest]")
      ->type_name("WORD");
  command
      .add_option("--budget-share", arguments.shares,
                  "part of the outlier columns for the modules whose names end so: --budget-share down_proj=0.5 [1]")
      ->type_name("SUFFIX=SHARE")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  command
      .add_option("--compute", arguments.compute,
                  "what calibration multiplies: float; bf16, numbers rounded to bfloat16; auto: bf16 where the "
                  "processor or GPU has units for it and the weights are 16-bit [default auto]")
      ->type_name("WORD");
  command
      .add_option("--effort", arguments.effort,
                  "how long to tune what the method found: low, not at all; medium, 100 steps a block; high, 150 at "
                  "overlapping pairs of blocks; max, 1000 [default medium for best, low for the others]")
      ->type_name("WORD");
  command
      .add_option("--tune", arguments.tune,
                  "fine-tune the solved blocks by gradient: --tune steps=300,nblocks=1,lookahead=1,trainable=latent "
                  "(docs/methods.md)")
      ->type_name("NAME=VALUE,...");
}

void add_calibration_flags(CLI::App& command, CalibrationArguments& arguments) {
  command.add_option("--calibration", arguments.file, "text (.txt, .jsonl) or token ids (.safetensors)")
      ->type_name("FILE");
  command.add_option("--windows", arguments.windows, "how many windows [default 128 of text, all of token ids]")
      ->check(CLI::PositiveNumber);
  command.add_option("--window-length", arguments.length, "tokens of a window of text [default 256]")
      ->check(CLI::PositiveNumber);
  command.add_option("--seed", arguments.seed, "shuffle the windows before taking the first");
}

}  // namespace halftone::cli
