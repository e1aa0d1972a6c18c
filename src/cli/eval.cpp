#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/evaluation_data.hpp"
#include "cli/progress_line.hpp"
#include "cli/signals.hpp"
#include "halftone/pipeline/evaluate_model.hpp"

namespace halftone::cli {
namespace {

struct EvalArguments {
  std::string model, reference;
  EvaluationData data;
};

nlohmann::json result_json(const Evaluation& result, double seconds) {
  nlohmann::json object = {
      {"tokens", result.tokens}, {"nll", result.nll}, {"perplexity", result.perplexity}, {"seconds", seconds}};
  if (result.divergence) {
    object["kl"] = result.divergence->kl;
    object["kl_p99"] = result.divergence->kl_p99;
    object["top1"] = result.divergence->top1;
  }
  return object;
}

std::string result_table(const Evaluation& result, double seconds) {
  std::string text =
      fmt::format("NLL         {:.4f} nats a token\nperplexity  {:.3f}\n", result.nll, result.perplexity);
  if (result.divergence)
    text += fmt::format("KL          {:.5f} nats a token, 99th percentile {:.4f}\ntop-1       {:.2f} % the same\n",
                        result.divergence->kl, result.divergence->kl_p99, 100 * result.divergence->top1);
  return text + fmt::format("            {} tokens, {:.1f} s\n", result.tokens, seconds);
}

void run_eval(const EvalArguments& arguments, const Common& common) {
  const auto start = std::chrono::steady_clock::now();
  const Context<Cpu> context(common.threads);
  const Checkpoint checkpoint(arguments.model);
  const Model model(checkpoint);
  std::optional<Checkpoint> reference_checkpoint;
  std::optional<Model> reference;
  if (!arguments.reference.empty()) {
    reference_checkpoint.emplace(arguments.reference);
    reference.emplace(*reference_checkpoint);
  }
  const Matrix<std::int32_t> ids = load_evaluation_windows(arguments.data, model);
  ProgressLine line(true);
  const auto progress = [&](double done) {
    line.show("evaluating", done);
    return !stop_requested();
  };
  const Evaluation result =
      evaluate_model(context, model, ids, reference ? &*reference : nullptr, progress, common.device);
  line.clear();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (common.json)
    print_json(result_json(result, seconds.count()));
  else
    print(result_table(result, seconds.count()));
}

}  // namespace

void add_eval(CLI::App& app, Common& common) {
  const auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = app.add_subcommand(
      "eval", "Perplexity on held-out text and, with --reference, the divergence from another model");
  command->add_option("MODEL", arguments->model, "checkpoint directory, dense or quantised")->required();
  command->add_option("--data", arguments->data.file, "text (.txt, .jsonl) or token ids (.safetensors)")->required();
  command->add_option("--reference", arguments->reference, "checkpoint directory to compare with: KL, top-1 agreement");
  command->add_option("--windows", arguments->data.windows.windows,
                      "how many windows [default 64 of text, all of token ids]");
  command->add_option("--window-length", arguments->data.windows.length, "tokens of a window of text [default 256]");
  command->add_option("--seed", arguments->data.windows.seed, "shuffle the windows before taking the first");
  add_common_flags(*command, common, Computes::OnDevices);
  command->footer(
      "JSON keys: tokens nll perplexity seconds, and with --reference kl kl_p99 top1 (nats a token; 0 .. 1).");
  command->callback([arguments, &common] { run_eval(*arguments, common); });
}

}  // namespace halftone::cli
