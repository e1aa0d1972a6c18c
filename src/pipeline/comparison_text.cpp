#include <fmt/format.h>

#include <algorithm>  // max
#include <nlohmann/json.hpp>

#include "pipeline/comparison_cells.hpp"

namespace halftone {
namespace {

using nlohmann::json;

ComparisonRow row_of(const ComparedModel& model) {
  const Evaluation& evaluation = model.evaluation;
  const Divergence divergence = evaluation.divergence.value_or(Divergence{});
  const bool original = model.method.empty();
  return {model.name,
          original ? "–" : model.method,
          original ? "–" : model.format,
          bits_text(model.bits_per_weight),
          fmt::format("{:.2f}", static_cast<double>(model.bytes) / 1e6),
          fmt::format("{:.4f}", evaluation.nll),
          fmt::format("{:.3f}", evaluation.perplexity),
          kl_text(divergence.kl),
          kl_text(divergence.kl_p99),
          fmt::format("{:.2f}", 100 * divergence.top1),
          original ? "–" : seconds_text(model.seconds)};
}

json model_json(const ComparedModel& model) {
  const Evaluation& evaluation = model.evaluation;
  json object = {{"name", model.name},    {"bits_per_weight", model.bits_per_weight},
                 {"bytes", model.bytes},  {"tokens", evaluation.tokens},
                 {"nll", evaluation.nll}, {"perplexity", evaluation.perplexity}};
  if (evaluation.divergence) {
    object["kl"] = evaluation.divergence->kl;
    object["kl_p99"] = evaluation.divergence->kl_p99;
    object["top1"] = evaluation.divergence->top1;
  }
  return object;
}

json recipe_json(const ComparedModel& model) {
  json object = model_json(model);
  object["method"] = model.method;
  object["format"] = model.format;
  object["seconds"] = model.seconds;
  object["solve_seconds"] = model.solve_seconds;
  object["notes"] = model.notes;
  object["layers"] = json::array();
  for (const LayerReport& layer : model.layers) object["layers"].push_back(layer_json(layer));
  return object;
}

/// Columns that a terminal shows: every byte but those that continue a character of UTF-8.
std::size_t width_of(const std::string& text) {
  std::size_t width = 0;
  for (const char c : text) width += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return width;
}

}  // namespace

std::string bits_text(double bits) { return fmt::format("{:.3f}", bits); }
std::string kl_text(double nats) { return fmt::format("{:.4g}", nats); }
std::string seconds_text(double seconds) { return fmt::format("{:.2f}", seconds); }

const ComparisonRow& comparison_header() {
  static const ComparisonRow header = {"recipe",     "method", "format", "bits/weight", "MB", "NLL",
                                       "perplexity", "KL",     "KL p99", "top-1 %",     "s"};
  return header;
}

std::vector<ComparisonRow> comparison_rows(const ComparisonReport& report) {
  std::vector<ComparisonRow> rows = {row_of(report.original)};
  for (const ComparedModel& model : report.recipes) rows.push_back(row_of(model));
  return rows;
}

std::vector<std::string> comparison_remarks(const ComparisonReport& report) {
  std::vector<std::string> remarks;
  remarks.push_back(fmt::format("evaluated on {} windows of {} tokens; NLL and KL in nats a token",
                                report.evaluation_windows, report.evaluation_length));
  if (!report.calibration.empty())
    remarks.push_back(fmt::format("calibrated on {} windows of {} tokens of {}", report.calibration_windows,
                                  report.calibration_length, report.calibration));
  remarks.push_back(fmt::format("{} s in all, peak memory {:.1f} MB", seconds_text(report.seconds),
                                static_cast<double>(report.peak_bytes) / 1e6));
  for (const ComparedModel& model : report.recipes)
    for (const std::string& note : model.notes) remarks.push_back(fmt::format("{}: {}", model.name, note));
  return remarks;
}

std::string comparison_table(const ComparisonReport& report) {
  std::vector<ComparisonRow> rows = comparison_rows(report);
  rows.insert(rows.begin(), comparison_header());
  std::array<std::size_t, comparison_columns> widths{};
  for (const ComparisonRow& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  std::string text;
  for (const ComparisonRow& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width_of(row[i]), ' ');
      text += (i > 0 ? "  " : "") + (i < first_number ? row[i] + padding : padding + row[i]);
    }
    text += '\n';
  }
  text += '\n';
  for (const std::string& remark : comparison_remarks(report)) text += remark + '\n';
  return text;
}

json comparison_json(const ComparisonReport& report) {
  json recipes = json::array();
  for (const ComparedModel& model : report.recipes) recipes.push_back(recipe_json(model));
  return {{"model", report.model},
          {"calibration",
           {{"file", report.calibration},
            {"windows", report.calibration_windows},
            {"window_length", report.calibration_length}}},
          {"evaluation", {{"windows", report.evaluation_windows}, {"window_length", report.evaluation_length}}},
          {"original", model_json(report.original)},
          {"recipes", std::move(recipes)},
          {"seconds", report.seconds},
          {"peak_bytes", report.peak_bytes}};
}

}  // namespace halftone
