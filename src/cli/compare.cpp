#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/evaluation_data.hpp"
#include "cli/method_flags.hpp"
#include "cli/progress_line.hpp"
#include "cli/recipe_flags.hpp"
#include "cli/signals.hpp"
#include "format/file.hpp"
#include "halftone/pipeline/comparison.hpp"

namespace halftone::cli {
namespace {

struct CompareArguments {
  std::string model, html;
  EvaluationData data;
  CalibrationArguments calibration;
  OptionMap options;  ///< of methods, for every recipe that leaves them open
  std::vector<std::string> files, words;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\n"), last = text.find_last_not_of(" \t\n");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

/// A name for a recipe that was given none: "gptq bits=3 group_size=64".
std::string name_of(const Recipe& recipe) {
  std::string name = recipe.method;
  for (const auto& [option, value] : recipe.options) name += " " + option + "=" + value;
  const OutlierBudget& budget = recipe.budget;
  if (budget.target_bits != 0) name += concat(" target_bits=", budget.target_bits);
  if (budget.rule != BudgetRule::Honest) name += concat(" budget=", word_of(budget.rule));
  for (const auto& [suffix, share] : budget.shares) name += concat(" ", suffix, "=", share);
  if (recipe.compute != Compute::Auto) name += concat(" compute=", word_of(recipe.compute));
  if (recipe.tune) name += concat(" tune ", recipe.tune->steps);
  return name;
}

/// "NAME: WORDS" or "WORDS", the words being those of `quantize`.
NamedRecipe recipe_in_words(const std::string& text) {
  const std::string all = trimmed(text);
  const std::size_t colon = all.starts_with('-') ? std::string::npos : all.find(':');
  require(all.starts_with('-') || colon != std::string::npos, Status::InvalidArgument, "compare: --try '", text,
          "', wanted 'NAME: --method WORD --bits N ...', or that without a name");
  RecipeArguments arguments;
  CLI::App parser;
  parser.set_help_flag();
  parser.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_recipe_flags(parser, arguments);
  add_method_flags(parser, arguments.options);
  try {
    parser.parse(colon == std::string::npos ? all : all.substr(colon + 1));
  } catch (const CLI::ParseError& error) {
    fail(Status::InvalidArgument, "compare: --try '", text, "': ", error.what());
  }
  const Recipe recipe = recipe_of(arguments);
  return {colon == std::string::npos ? name_of(recipe) : trimmed(all.substr(0, colon)), recipe};
}

/// Gives the recipes those of the command's own options that they leave open and their method has.
void fill_in(std::vector<NamedRecipe>& recipes, const OptionMap& options) {
  for (const auto& [name, value] : options) {
    bool known = false;
    for (auto& [_, recipe] : recipes) {
      if (!has_option(find_method(recipe.method), name)) continue;
      recipe.options.try_emplace(name, value);
      known = true;
    }
    require(known, Status::InvalidArgument, "compare: ", flag_name(name), ": no recipe's method has this option");
  }
}

/// The recipes in the order in which they were given; without any, one for each method.
std::vector<NamedRecipe> recipes_of(const CLI::App& command, const CompareArguments& arguments) {
  std::vector<NamedRecipe> recipes;
  std::size_t file = 0, words = 0;
  for (const CLI::Option* option : command.parse_order()) {
    if (option->check_lname("recipe")) {
      const std::filesystem::path path = arguments.files.at(file++);
      recipes.push_back({path.stem().string(), load_recipe(path)});
    } else if (option->check_lname("try")) {
      recipes.push_back(recipe_in_words(arguments.words.at(words++)));
    }
  }
  if (recipes.empty())
    for (const Method& method : methods()) {
      recipes.push_back({std::string(method.name), {}});
      recipes.back().recipe.method = method.name;
    }
  fill_in(recipes, arguments.options);
  for (NamedRecipe& named : recipes) lay_over(named.recipe.calibration, arguments.calibration);
  return recipes;
}

/// Fails now where writing the page would fail after all the work.
void require_place(const std::filesystem::path& file) {
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (::access(folder.c_str(), W_OK | X_OK) != 0) fail_io(file, "create");
  if (std::filesystem::is_directory(file)) fail_io(file, "write", EISDIR);
}

void run_compare(const CLI::App& command, const CompareArguments& arguments, const Common& common) {
  const std::vector<NamedRecipe> recipes = recipes_of(command, arguments);
  if (!arguments.html.empty()) require_place(arguments.html);
  const Context<Cpu> context(common.threads);
  const Checkpoint checkpoint(arguments.model);
  const Model model(checkpoint);
  const Matrix<std::int32_t> ids = load_evaluation_windows(arguments.data, model);
  ProgressLine line(true);
  const auto progress = [&](const Progress& now) {
    line.show(now);
    return !stop_requested();
  };
  const ComparisonReport report = compare_recipes(context, model, recipes, ids, progress, common.device);
  line.clear();
  if (!arguments.html.empty()) write_file(arguments.html, comparison_page(report));
  if (common.json)
    print_json(comparison_json(report));
  else
    print(comparison_table(report));
}

void add_data_flags(CLI::App& command, EvaluationData& data) {
  command.add_option("--data", data.file, "what to evaluate on: text (.txt, .jsonl) or token ids (.safetensors)")
      ->type_name("FILE")
      ->required();
  command.add_option("--data-windows", data.windows.windows, "how many windows [default 64 of text, all of token ids]")
      ->check(CLI::PositiveNumber);
  command.add_option("--data-window-length", data.windows.length, "tokens of a window of text [default 256]")
      ->check(CLI::PositiveNumber);
  command.add_option("--data-seed", data.windows.seed, "shuffle the windows before taking the first");
}

}  // namespace

void add_compare(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<CompareArguments>();
  CLI::App* command = app.add_subcommand(
      "compare", "Several recipes on one model in one run: bits, perplexity, divergence, errors, time");
  command->add_option("MODEL", arguments->model, "checkpoint directory in Hugging Face layout")->required();
  command
      ->add_option("--recipe", arguments->files, "a recipe in a JSON file, called by the file's name; may be repeated")
      ->type_name("FILE")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  command
      ->add_option(
          "--try", arguments->words,
          "a recipe in words of quantize, in one string: --try 'wide: --method gptq --bits 3 --group-size 128'; "
          "may be repeated. Without any recipe every method is compared")
      ->type_name("'NAME: FLAGS'")
      ->expected(1)
      ->allow_extra_args(false)
      ->take_all();
  add_calibration_flags(*command, arguments->calibration);
  add_data_flags(*command, arguments->data);
  command
      ->add_option("--html", arguments->html, "also write a page with the table and pictures; nothing else is written")
      ->type_name("FILE");
  add_method_flags(*command, arguments->options);
  add_common_flags(*command, common, Computes::OnDevices);
  command->footer(
      "Options of methods stand for every recipe that leaves them open and whose method has them.\n"
      "The original and all recipes go through the model together. Memory: for each of them one transformer block in\n"
      "float and the hidden states of all windows; fewer recipes at once, or fewer windows, need less.\n"
      "JSON keys: original{} recipes[] seconds peak_bytes and more; see docs/command.md.");
  command->callback([command, arguments, &common] { run_compare(*command, *arguments, common); });
}

}  // namespace halftone::cli
