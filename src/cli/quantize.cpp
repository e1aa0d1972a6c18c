#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/method_flags.hpp"
#include "cli/progress_line.hpp"
#include "cli/signals.hpp"
#include "halftone/pipeline/quantize_model.hpp"

namespace halftone::cli {
namespace {

struct QuantizeArguments {
  std::string model, out, recipe_file, report_file;
  std::optional<std::string> method, format, calibration;
  std::optional<Index> windows, length;
  std::optional<std::uint64_t> seed;
  OptionMap options;
  std::vector<std::string> keep;
  std::vector<std::pair<std::string, std::string>> layers;
  double shard_gb = 5;
  bool resume = false, dry_run = false, quiet = false;
};

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

/// The recipe file, if any, with the flags laid over it. Rules of the command line come before the file's.
Recipe recipe_of(const QuantizeArguments& arguments) {
  Recipe recipe;
  if (!arguments.recipe_file.empty()) recipe = load_recipe(arguments.recipe_file);
  if (arguments.method) recipe.method = *arguments.method;
  if (arguments.format) recipe.format = *arguments.format;
  for (const auto& [name, value] : arguments.options) recipe.options[name] = value;
  std::vector<LayerRule> rules;
  for (const std::string& expression : arguments.keep) rules.push_back({expression, true, {}, {}});
  for (const auto& [expression, settings] : arguments.layers) rules.push_back(rule_of(expression, settings));
  recipe.layers.insert(recipe.layers.begin(), rules.begin(), rules.end());
  Calibration& calibration = recipe.calibration;
  if (arguments.calibration) calibration.file = *arguments.calibration;
  if (arguments.windows) calibration.windows.windows = *arguments.windows;
  if (arguments.length) calibration.windows.length = *arguments.length;
  if (arguments.seed) calibration.windows.seed = arguments.seed;
  return recipe;
}

void run_dry(const QuantizeArguments& arguments, const Recipe& recipe, const Common& common) {
  const Context<Cpu> context(common.threads);
  const RunPlan plan = plan_model(context, arguments.model, recipe);
  const double seconds = estimated_seconds(context, plan);
  if (common.json)
    print_json(plan_json(plan, seconds));
  else
    print(plan_table(plan, seconds));
}

void store_report(const std::string& file, const nlohmann::json& report) {
  if (file.empty()) return;
  std::ofstream stream(file);
  stream << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  require(static_cast<bool>(stream.flush()), Status::Io, "report: cannot write ", file);
}

void run_quantize(const QuantizeArguments& arguments, const Common& common) {
  const Recipe recipe = recipe_of(arguments);
  if (arguments.dry_run) return run_dry(arguments, recipe, common);
  require(!arguments.out.empty(), Status::InvalidArgument, "quantize: no output folder (-o OUT)");
  const Context<Cpu> context(common.threads);
  ProgressLine line(!arguments.quiet);
  RunOptions options;
  options.resume = arguments.resume;
  options.shard_bytes = static_cast<std::int64_t>(arguments.shard_gb * 1e9);
  options.progress = [&](const Progress& progress) {
    line.show(progress);
    return !stop_requested();
  };
  const RunReport report = quantize_model(context, arguments.model, arguments.out, recipe, options);
  line.clear();
  store_report(arguments.report_file, report_json(report));
  if (common.json)
    print_json(report_json(report));
  else if (!arguments.quiet)
    print(report_table(report));
}

void add_recipe_flags(CLI::App& command, QuantizeArguments& arguments) {
  std::string names, format_names = "auto";
  for (const Method& method : methods()) names += (names.empty() ? "" : ", ") + std::string(method.name);
  for (const Format* format : formats()) format_names += ", " + std::string(format->name());
  command.add_option("--method", arguments.method, "one of " + names + " [default gptq]");
  command.add_option(
      "--format", arguments.format,
      "one of " + format_names + "; auto: compressed-tensors where it can express the result [default auto]");
  command
      .add_option("--recipe", arguments.recipe_file,
                  "method, options, rules, format and calibration from a JSON file; "
                  "flags come before it")
      ->type_name("FILE");
  command.add_option("--keep", arguments.keep, "leave the modules that the regular expression matches as they are")
      ->type_name("REGEX")
      ->expected(1)
      ->take_all();
  command
      .add_option("--layer", arguments.layers,
                  "other options, or another method, for the modules that the regular "
                  "expression matches: --layer 'down_proj$' bits=4,group_size=32")
      ->type_name("REGEX NAME=VALUE,...")
      ->take_all();
  command.add_option("--calibration", arguments.calibration, "text (.txt, .jsonl) or token ids (.safetensors)")
      ->type_name("FILE");
  command.add_option("--windows", arguments.windows, "how many windows [default 128 of text, all of token ids]")
      ->check(CLI::PositiveNumber);
  command.add_option("--window-length", arguments.length, "tokens of a window of text [default 256]")
      ->check(CLI::PositiveNumber);
  command.add_option("--seed", arguments.seed, "shuffle the windows before taking the first");
}

}  // namespace

void add_quantize(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* command = app.add_subcommand("quantize", "Quantises a checkpoint directory into a new one");
  command->add_option("MODEL", arguments->model, "checkpoint directory in Hugging Face layout")->required();
  command->add_option("-o,--output", arguments->out, "folder to create; it appears when it is complete");
  add_recipe_flags(*command, *arguments);
  add_method_flags(*command, arguments->options);
  command->add_flag("--resume", arguments->resume, "go on with an unfinished run of the same command, if there is one");
  command->add_flag("--dry-run", arguments->dry_run,
                    "print layers, bits, output size, peak memory and an estimate of time, from the headers alone");
  command->add_option("--shard-size", arguments->shard_gb, "largest weights file of the output, in GB")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--report", arguments->report_file, "write the JSON report to this file as well")
      ->type_name("FILE");
  command->add_flag("-q,--quiet", arguments->quiet, "no progress line, no table");
  add_common_flags(*command, common, true);
  command->footer("JSON keys: bits_per_weight seconds peak_bytes layers[] and more; see docs/command.md.");
  command->callback([arguments, &common] { run_quantize(*arguments, common); });
}

}  // namespace halftone::cli
