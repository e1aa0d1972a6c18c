#include "halftone/pipeline/report.hpp"

#include <fmt/format.h>

#include <algorithm>  // max
#include <cmath>      // isfinite, nan
#include <nlohmann/json.hpp>

#include "halftone/format/format.hpp"

namespace halftone {
namespace {

using nlohmann::json;

/// JSON has no NaN: null stands for a number that is not finite.
double number_of(const json& value) { return value.is_null() ? std::nan("") : value.get<double>(); }

std::string notes_text(const std::vector<std::string>& notes) {
  std::string text;
  for (const std::string& note : notes) text += (text.empty() ? "" : "; ") + note;
  return text;
}

/// `plain`: the format stores values, not codes, so that the codes' bits are of more interest.
std::string line(const LayerReport& layer, std::size_t width, bool plain) {
  const SolveReport& solve = layer.solve;
  return fmt::format("{:<{}}  {:<6} {:>4} {:>6} {:>8} {:>7.3f} {:>10.3g} {:>8.3g} {:>5} {:>8.3f}  {}\n", layer.module,
                     width, layer.method, layer.bits, layer.group_size, layer.outlier_columns,
                     plain ? layer.code_bits_per_weight : layer.bits_per_weight, solve.relative_error, solve.damping,
                     solve.dead_columns, solve.seconds, notes_text(solve.notes));
}

}  // namespace

json layer_json(const LayerReport& layer, bool with_clock) {
  const SolveReport& solve = layer.solve;
  json object = {{"module", layer.module},
                 {"method", layer.method},
                 {"bits", layer.bits},
                 {"group_size", layer.group_size},
                 {"rows", layer.rows},
                 {"cols", layer.cols},
                 {"outlier_columns", layer.outlier_columns},
                 {"bits_per_weight", layer.bits_per_weight},
                 {"code_bits_per_weight", layer.code_bits_per_weight},
                 {"relative_error", solve.relative_error},
                 {"damping", solve.damping},
                 {"damping_steps", solve.damping_steps},
                 {"dead_columns", solve.dead_columns},
                 {"strength", solve.strength},
                 {"refine_rounds", solve.refine_rounds},
                 {"refine_gain", solve.refine_gain},
                 {"tokens", solve.tokens},
                 {"notes", solve.notes}};
  if (with_clock) object["seconds"] = solve.seconds;
  return object;
}

LayerReport parse_layer(const json& object) try {
  LayerReport layer;
  layer.module = object.at("module").get<std::string>();
  layer.method = object.at("method").get<std::string>();
  layer.bits = object.at("bits").get<int>();
  layer.group_size = object.at("group_size").get<Index>();
  layer.rows = object.at("rows").get<Index>();
  layer.cols = object.at("cols").get<Index>();
  layer.outlier_columns = object.at("outlier_columns").get<Index>();
  layer.bits_per_weight = number_of(object.at("bits_per_weight"));
  layer.code_bits_per_weight = number_of(object.at("code_bits_per_weight"));
  layer.solve.relative_error = number_of(object.at("relative_error"));
  layer.solve.damping = number_of(object.at("damping"));
  layer.solve.damping_steps = object.at("damping_steps").get<int>();
  layer.solve.dead_columns = object.at("dead_columns").get<Index>();
  layer.solve.strength = number_of(object.at("strength"));
  layer.solve.refine_rounds = object.at("refine_rounds").get<int>();
  layer.solve.refine_gain = number_of(object.at("refine_gain"));
  layer.solve.tokens = object.at("tokens").get<Index>();
  layer.solve.notes = object.at("notes").get<std::vector<std::string>>();
  if (object.contains("seconds")) layer.solve.seconds = number_of(object.at("seconds"));
  return layer;
} catch (const json::exception& error) {
  fail(Status::InvalidData, "layer report: ", error.what());
}

json report_json(const RunReport& report) {
  json layers = json::array();
  for (const LayerReport& layer : report.layers) layers.push_back(layer_json(layer));
  return {{"model", report.model.string()},
          {"output", report.output.string()},
          {"format", report.format},
          {"bits_per_weight", report.bits_per_weight},
          {"code_bits_per_weight", report.code_bits_per_weight},
          {"model_bits_per_weight", report.model_bits_per_weight},
          {"output_bytes", report.output_bytes},
          {"seconds", report.seconds},
          {"peak_bytes", report.peak_bytes},
          {"blocks_resumed", report.blocks_resumed},
          {"notes", report.notes},
          {"layers", std::move(layers)}};
}

std::string report_table(const RunReport& report) {
  std::size_t width = 6;
  for (const LayerReport& layer : report.layers) width = std::max(width, layer.module.size());
  std::string text =
      fmt::format("{:<{}}  {:<6} {:>4} {:>6} {:>8} {:>7} {:>10} {:>8} {:>5} {:>8}  {}\n", "module", width, "method",
                  "bits", "group", "outliers", "bits/w", "error", "damping", "dead", "seconds", "notes");
  const bool plain = !find_format(report.format).stores_codes();
  for (const LayerReport& layer : report.layers) text += line(layer, width, plain);
  text += fmt::format(
      "\n{} layers, format {}: {:.3f} bits per weight ({:.3f} without gaps, {:.3f} over the whole model), {:.1f} MB "
      "written, {:.2f} s, peak {:.1f} MB\n",
      report.layers.size(), report.format, report.bits_per_weight, report.code_bits_per_weight,
      report.model_bits_per_weight, static_cast<double>(report.output_bytes) / 1e6, report.seconds,
      static_cast<double>(report.peak_bytes) / 1e6);
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  return text;
}

}  // namespace halftone
