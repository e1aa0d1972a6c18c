#include "halftone/format/inspect.hpp"

#include <fmt/format.h>

#include <algorithm>  // max
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "halftone/core/error.hpp"
#include "halftone/model/model.hpp"

namespace halftone::cli {
namespace {

using nlohmann::json;

/// config.json's `model_type`, or timm's `architecture`; empty where it names none.
std::string model_type(const Json& config) {
  for (const char* key : {"model_type", "architecture"})
    if (const auto type = config.find(key); type != config.end() && type->is_string()) return type->get<std::string>();
  return {};
}

/// What stands in the way of the other commands. Looks at config and headers only, as everything here does.
std::vector<std::string> notes_on(const Checkpoint& checkpoint) {
  try {
    const Model model(checkpoint);
    return {};
  } catch (const Error& error) {
    return {concat("no model that halftone can quantise or evaluate: ", error.what())};
  }
}

json matrix_json(const StoredMatrix& matrix) {
  json object = {{"module", matrix.module},
                 {"rows", matrix.rows},
                 {"cols", matrix.cols},
                 {"bits", matrix.bits},
                 {"bytes", matrix.bytes},
                 {"dtype", dtype_name(matrix.dtype)},
                 {"quantized", matrix.quantized()}};
  if (matrix.quantized()) {
    object["group_size"] = matrix.group_size;
    object["symmetric"] = matrix.symmetric;
    object["group_index"] = matrix.group_index;
    object["coding"] = word_of(matrix.binary_coded ? Coding::Binary : Coding::Uniform);
    object["outlier_columns"] = matrix.outlier_columns;
  }
  return object;
}

json inspection_json(const Checkpoint& checkpoint, const Inspection& found) {
  json tensors = json::array(), modules = json::array();
  for (const TensorInfo& tensor : found.tensors)
    tensors.push_back({{"name", tensor.name}, {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}});
  for (const StoredMatrix& matrix : found.matrices) modules.push_back(matrix_json(matrix));
  json object = {{"model", checkpoint.directory().string()},
                 {"model_type", model_type(checkpoint.config())},
                 {"format", found.format},
                 {"parameters", found.weights},
                 {"tensor_bytes", found.bytes},
                 {"model_bits_per_weight", found.model_bits_per_weight()},
                 {"notes", notes_on(checkpoint)},
                 {"modules", std::move(modules)},
                 {"tensors", std::move(tensors)}};
  if (found.quantized_weights > 0) object["bits_per_weight"] = found.bits_per_weight();
  return object;
}

std::string kind(const StoredMatrix& matrix) {
  if (!matrix.quantized()) return std::string(dtype_name(matrix.dtype));
  const char* grid = matrix.binary_coded ? "binary-coded" : matrix.symmetric ? "symmetric" : "asymmetric";
  std::string text = fmt::format("{}, {} scales", grid, dtype_name(matrix.dtype));
  if (matrix.group_index) text += ", group index";
  if (matrix.outlier_columns > 0) text += fmt::format(", {} outlier columns", matrix.outlier_columns);
  return text;
}

std::string matrix_table(const std::vector<StoredMatrix>& matrices) {
  std::size_t width = 6;
  for (const StoredMatrix& matrix : matrices) width = std::max(width, matrix.module.size());
  std::string text =
      fmt::format("\n{:<{}}  {:>15}  {:>4} {:>6}  {}\n", "module", width, "out x in", "bits", "group", "kind");
  for (const StoredMatrix& matrix : matrices)
    text += fmt::format("{:<{}}  {:>15}  {:>4} {:>6}  {}\n", matrix.module, width,
                        fmt::format("{} x {}", matrix.rows, matrix.cols), matrix.bits,
                        matrix.quantized() ? std::to_string(matrix.group_size) : "-", kind(matrix));
  return text;
}

std::string tensor_table(const std::vector<TensorInfo>& tensors) {
  std::string text = "\n";
  for (const TensorInfo& tensor : tensors)
    text +=
        fmt::format("{:<8} {:>20}  {}\n", dtype_name(tensor.dtype),
                    tensor.shape.empty() ? "scalar" : fmt::format("{}", fmt::join(tensor.shape, " x ")), tensor.name);
  return text;
}

std::string inspection_text(const Checkpoint& checkpoint, const Inspection& found, bool with_tensors) {
  const std::string type = model_type(checkpoint.config());
  std::string text =
      fmt::format("{}: {}, format {}\n{} parameters in {} tensors, {:.1f} MB, {:.3f} bits per parameter\n",
                  checkpoint.directory().string(), type.empty() ? "no model_type" : type, found.format, found.weights,
                  found.tensors.size(), static_cast<double>(found.bytes) / 1e6, found.model_bits_per_weight());
  if (found.quantized_weights > 0)
    text += fmt::format("{:.3f} bits per quantised weight, everything stored included\n", found.bits_per_weight());
  if (!found.matrices.empty()) text += matrix_table(found.matrices);
  if (with_tensors) text += tensor_table(found.tensors);
  for (const std::string& note : notes_on(checkpoint)) text += "note: " + note + "\n";
  return text;
}

}  // namespace

void add_inspect(CLI::App& app, Common& common) {
  struct Arguments {
    std::string model;
    bool tensors = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("inspect", "Says what a checkpoint holds and how it is quantised");
  command->add_option("MODEL", arguments->model, "checkpoint directory")->required();
  command->add_flag("--tensors", arguments->tensors, "list every tensor as well");
  add_common_flags(*command, common, Computes::Nothing);
  command->callback([arguments, &common] {
    const Checkpoint checkpoint(arguments->model);
    const Inspection found = inspect(checkpoint);
    if (common.json)
      print_json(inspection_json(checkpoint, found));
    else
      print(inspection_text(checkpoint, found, arguments->tensors));
  });
}

}  // namespace halftone::cli
