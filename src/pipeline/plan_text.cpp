#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "halftone/pipeline/plan.hpp"

namespace halftone {
namespace {

using nlohmann::json;

double megabytes(Index bytes) { return static_cast<double>(bytes) / 1e6; }

double stored_bits_per_weight(const PlannedMatrix& planned) {
  return 8 * static_cast<double>(planned.stored_bytes) / static_cast<double>(planned.matrix.rows * planned.matrix.cols);
}

/// `plain`: the format stores values, not codes, so that the codes' bits are of more interest.
std::string matrix_line(const PlannedMatrix& planned, std::size_t width, bool plain) {
  const MatrixPlan& matrix = planned.matrix;
  return fmt::format("{:<{}}  {:<6} {:>4} {:>6} {:>13} {:>8} {:>7.3f}\n", matrix.module, width, planned.method,
                     matrix.grid.bits, matrix.grid.group_size, fmt::format("{} x {}", matrix.rows, matrix.cols),
                     matrix.outlier_columns, plain ? planned.code_bits_per_weight() : stored_bits_per_weight(planned));
}

json matrix_json(const PlannedMatrix& planned) {
  const MatrixPlan& matrix = planned.matrix;
  return {{"module", matrix.module},
          {"method", planned.method},
          {"options", options_json(planned.method, planned.options)},
          {"rows", matrix.rows},
          {"cols", matrix.cols},
          {"stored_bytes", planned.stored_bytes},
          {"outlier_columns", matrix.outlier_columns},
          {"bits_per_weight", stored_bits_per_weight(planned)},
          {"code_bits_per_weight", planned.code_bits_per_weight()}};
}

json memory_json(const MemoryEstimate& memory) {
  return {{"process", memory.process},       {"streams", memory.streams}, {"weights", memory.weights},
          {"statistics", memory.statistics}, {"solver", memory.solver},   {"files", memory.files},
          {"tuning", memory.tuning},         {"kept", memory.kept()}};
}

json device_json(const DevicePlan& device) {
  return {{"name", device.name},
          {"memory_limit", device.memory_limit},
          {"fixed_bytes", device.fixed_bytes},
          {"sums_bytes", device.sums_bytes},
          {"token_bytes", device.token_bytes},
          {"resident_tokens", device.resident}};
}

std::string device_line(const RunPlan& plan) {
  const DevicePlan& device = plan.device;
  std::string text =
      fmt::format("device        {}: {:.1f} MB of at most {:.1f} MB", device.name,
                  megabytes(device.fixed_bytes + device.resident * device.token_bytes), megabytes(device.memory_limit));
  if (plan.streams() > 0)
    text += fmt::format(" = weights, statistics, solver {:.1f} + streams {:.1f}; {} of {} tokens on the host",
                        megabytes(device.fixed_bytes), megabytes(device.resident * device.token_bytes),
                        plan.tokens() - device.resident, plan.tokens());
  return text + "\n";
}

}  // namespace

std::string plan_table(const RunPlan& plan, double seconds) {
  std::size_t width = 6;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) width = std::max(width, planned.matrix.module.size());
  std::string text = fmt::format("{:<{}}  {:<6} {:>4} {:>6} {:>13} {:>8} {:>7}\n", "module", width, "method", "bits",
                                 "group", "out x in", "outliers", "bits/w");
  const bool plain = !find_format(plan.format).stores_codes();
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) text += matrix_line(planned, width, plain);
  const MemoryEstimate& memory = plan.memory;
  text += fmt::format("\nlayers        {} in {} blocks; {} linear layers stay as they are\n", plan.matrices(),
                      plan.blocks.size(), plan.kept.size());
  text += plan.windows == 0 ? "calibration   none\n"
                            : fmt::format("calibration   {} windows of {} tokens, {} stream(s), products of {}\n",
                                          plan.windows, plan.length, plan.streams(), word_of(plan.products));
  text += fmt::format("bits          {:.3f} per quantised weight ({:.3f} without gaps), {:.3f} over the whole model\n",
                      plan.bits_per_weight, plan.code_bits_per_weight, plan.model_bits_per_weight);
  text += fmt::format("output        {:.1f} MB, format {}\n", megabytes(plan.output_bytes), plan.format);
  text += fmt::format(
      "peak memory   {:.1f} MB = process {:.1f} + streams {:.1f} + weights {:.1f} + statistics {:.1f} + solver {:.1f} "
      "+ files {:.1f}{} + kept {:.1f}\n",
      megabytes(memory.peak()), megabytes(memory.process), megabytes(memory.streams), megabytes(memory.weights),
      megabytes(memory.statistics), megabytes(memory.solver), megabytes(memory.files),
      memory.tuning > 0 ? fmt::format(" + tuning {:.1f}", megabytes(memory.tuning)) : "", megabytes(memory.kept()));
  if (plan.tune.steps > 0) text += fmt::format("tuning        {}\n", tune_text(plan.tune));
  if (plan.device.name.empty())
    text += fmt::format("time          about {:.1f} s ({:.3g} flops)\n", seconds, plan.flops);
  else
    text += device_line(plan) + fmt::format("time          not known of this device ({:.3g} flops)\n", plan.flops);
  for (const std::string& note : plan.notes) text += "note: " + note + "\n";
  return text;
}

json plan_json(const RunPlan& plan, double seconds) {
  const bool on_cpu = plan.device.name.empty();
  json layers = json::array();
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) layers.push_back(matrix_json(planned));
  return {{"format", plan.format},
          {"windows", plan.windows},
          {"window_length", plan.length},
          {"streams", plan.streams()},
          {"products", word_of(plan.products)},
          {"bits_per_weight", plan.bits_per_weight},
          {"code_bits_per_weight", plan.code_bits_per_weight},
          {"model_bits_per_weight", plan.model_bits_per_weight},
          {"output_bytes", plan.output_bytes},
          {"peak_bytes", plan.memory.peak()},
          {"memory", memory_json(plan.memory)},
          {"flops", plan.flops},
          {"device", on_cpu ? json() : device_json(plan.device)},
          {"seconds", on_cpu ? json(seconds) : json()},
          {"kept", plan.kept},
          {"notes", plan.notes},
          {"layers", std::move(layers)}};
}

}  // namespace halftone
