#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/method_flags.hpp"
#include "cli/profile.hpp"
#include "cli/progress_line.hpp"
#include "cli/recipe_flags.hpp"
#include "cli/signals.hpp"
#include "halftone/pipeline/quantize_model.hpp"

namespace halftone::cli {
namespace {

struct QuantizeArguments {
  std::string model, out, report_file, profile_file;
  RecipeArguments recipe;
  CalibrationArguments calibration;
  double shard_gb = 5;
  bool resume = false, dry_run = false, quiet = false;
};

void run_dry(const QuantizeArguments& arguments, const Recipe& recipe, const Common& common) {
  const Context<Cpu> context(common.threads);
  const RunPlan plan = plan_model(context, arguments.model, recipe, common.device);
  const double seconds = plan.device.name.empty() ? estimated_seconds(context, plan) : 0;
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
  Recipe recipe = recipe_of(arguments.recipe);
  lay_over(recipe.calibration, arguments.calibration);
  if (arguments.dry_run) return run_dry(arguments, recipe, common);
  require(!arguments.out.empty(), Status::InvalidArgument, "quantize: no output folder (-o OUT)");
  const Context<Cpu> context(common.threads);
  const RunReport report = profiled(arguments.profile_file, arguments.quiet, [&](Trace* trace) {
    ProgressLine line(!arguments.quiet);
    RunOptions options;
    options.resume = arguments.resume;
    options.shard_bytes = static_cast<std::int64_t>(arguments.shard_gb * 1e9);
    options.trace = trace;
    options.device = common.device;
    options.progress = [&](const Progress& progress) {
      line.show(progress);
      return !stop_requested();
    };
    return quantize_model(context, arguments.model, arguments.out, recipe, options);
  });
  store_report(arguments.report_file, report_json(report));
  if (common.json)
    print_json(report_json(report));
  else if (!arguments.quiet)
    print(report_table(report));
}

}  // namespace

void add_quantize(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* command = app.add_subcommand("quantize", "Quantises a checkpoint directory into a new one");
  command->add_option("MODEL", arguments->model, "checkpoint directory in Hugging Face layout")->required();
  command->add_option("-o,--output", arguments->out, "folder to create; it appears when it is complete");
  add_recipe_flags(*command, arguments->recipe);
  add_calibration_flags(*command, arguments->calibration);
  add_method_flags(*command, arguments->recipe.options);
  command->add_flag("--resume", arguments->resume, "go on with an unfinished run of the same command, if there is one");
  CLI::Option* dry_run =
      command->add_flag("--dry-run", arguments->dry_run,
                        "print layers, bits, output size, peak memory and an estimate of time, from the headers alone");
  command->add_option("--shard-size", arguments->shard_gb, "largest weights file of the output, in GB")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--report", arguments->report_file, "write the JSON report to this file as well")
      ->type_name("FILE");
  command
      ->add_option("--profile", arguments->profile_file,
                   "write what the run did when to this file, for ui.perfetto.dev or chrome://tracing, and print what "
                   "each phase took to stderr")
      ->type_name("FILE")
      ->excludes(dry_run);
  command->add_flag("-q,--quiet", arguments->quiet, "no progress line, no table");
  add_common_flags(*command, common, Computes::OnDevices);
  command->footer("JSON keys: bits_per_weight seconds peak_bytes layers[] and more; see docs/command.md.");
  command->callback([arguments, &common] { run_quantize(*arguments, common); });
}

}  // namespace halftone::cli
