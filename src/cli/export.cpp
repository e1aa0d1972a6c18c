#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/progress_line.hpp"
#include "cli/signals.hpp"
#include "halftone/format/format.hpp"
#include "halftone/pipeline/export_model.hpp"

namespace halftone::cli {
namespace {

struct ExportArguments {
  std::string model, out, format = "dense";
  double shard_gb = 5;
  bool quiet = false;
};

nlohmann::json result_json(const ExportReport& report) {
  return {{"model", report.model.string()},
          {"output", report.output.string()},
          {"from", report.format},
          {"format", "dense"},
          {"dtype", dtype_name(report.dtype)},
          {"matrices", report.matrices},
          {"output_bytes", report.output_bytes},
          {"seconds", report.seconds}};
}

std::string result_text(const ExportReport& report) {
  return fmt::format("{}: {} matrices of format {} as {}, {:.1f} MB, {:.1f} s\n", report.output.string(),
                     report.matrices, report.format, dtype_name(report.dtype),
                     static_cast<double>(report.output_bytes) / 1e6, report.seconds);
}

void run_export(const ExportArguments& arguments, const Common& common) {
  const Format& format = find_format(arguments.format);
  require(format.name() == "dense", Status::Unsupported, "export: to format ", format.name(), ", wanted dense");
  ProgressLine line(!arguments.quiet);
  ExportOptions options;
  options.shard_bytes = static_cast<std::int64_t>(arguments.shard_gb * 1e9);
  options.progress = [&](double done) {
    line.show("exporting", done);
    return !stop_requested();
  };
  const ExportReport report = export_dense(arguments.model, arguments.out, options);
  line.clear();
  if (common.json)
    print_json(result_json(report));
  else if (!arguments.quiet)
    print(result_text(report));
}

}  // namespace

void add_export(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<ExportArguments>();
  CLI::App* command = app.add_subcommand("export", "Writes a quantised checkpoint with plain weights");
  command->add_option("MODEL", arguments->model, "quantised checkpoint directory, of any format")->required();
  command->add_option("-o,--output", arguments->out, "folder to create; it appears when it is complete")->required();
  command->add_option("--format", arguments->format, "dense: plain weights in the original type")
      ->capture_default_str();
  command->add_option("--shard-size", arguments->shard_gb, "largest weights file of the output, in GB")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_flag("-q,--quiet", arguments->quiet, "no progress line, no result");
  add_common_flags(*command, common, Computes::Nothing);
  command->footer("JSON keys: model output from format dtype matrices output_bytes seconds.");
  command->callback([arguments, &common] { run_export(*arguments, common); });
}

}  // namespace halftone::cli
