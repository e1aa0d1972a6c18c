#include <fmt/format.h>

#include <algorithm>  // any_of
#include <map>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "halftone/model/model.hpp"

namespace halftone::cli {
namespace {

using nlohmann::json;

/// A linear layer as it is stored.
struct Module {
  std::string name;
  Index rows = 0, cols = 0;
  bool quantized = false;
  int bits = 0;  ///< of a code, or of an element
  Index group_size = 0;
  bool symmetric = false, group_index = false;
  std::string dtype;  ///< of the scales, or of the elements
  Index bytes = 0;
};

struct Inspection {
  std::string directory, model_type, format;
  std::vector<TensorInfo> tensors;
  std::vector<Module> modules;
  std::vector<std::string> notes;
  Index parameters = 0, bytes = 0;      ///< of everything
  Index weights = 0, weight_bytes = 0;  ///< of quantised modules

  double model_bits() const {
    return 8.0 * static_cast<double>(bytes) / std::max(1.0, static_cast<double>(parameters));
  }
  double weight_bits() const {
    return 8.0 * static_cast<double>(weight_bytes) / std::max(1.0, static_cast<double>(weights));
  }
};

/// Bytes of the tensors <module>.* but the bias; takes them out of `rest`.
Index take_bytes(std::map<std::string, const TensorInfo*>& rest, const std::string& module) {
  Index bytes = 0;
  for (auto at = rest.lower_bound(module + "."); at != rest.end() && at->first.rfind(module + ".", 0) == 0;) {
    const bool bias = at->first == module + ".bias";
    if (!bias) bytes += at->second->bytes();
    at = bias ? std::next(at) : rest.erase(at);
  }
  return bytes;
}

Module inspect_module(const Checkpoint& checkpoint, const LinearInfo& linear) {
  Module module{.name = linear.module, .rows = linear.rows, .cols = linear.cols, .dtype = {}};
  if (const auto matrix = checkpoint.quantized(linear.module)) {
    module.quantized = true;
    module.bits = matrix->grid.bits;
    module.group_size = matrix->grid.group_size;
    module.symmetric = matrix->grid.symmetric;
    module.group_index = !matrix->group_index.empty();
    module.dtype = dtype_name(matrix->grid.scale_type);
  } else {
    const TensorInfo& tensor = checkpoint.tensors().info(linear.module + ".weight");
    module.bits = dtype_bits(tensor.dtype);
    module.dtype = dtype_name(tensor.dtype);
  }
  return module;
}

Inspection inspect(const std::string& directory) {
  const Checkpoint checkpoint(directory);
  Inspection result{.directory = directory,
                    .model_type = {},
                    .format = {},
                    .tensors = checkpoint.tensors().tensors(),
                    .modules = {},
                    .notes = {}};
  const auto& config = checkpoint.config();
  if (const auto type = config.find("model_type"); type != config.end() && type->is_string())
    result.model_type = type->get<std::string>();
  result.format = checkpoint.format() == nullptr ? "dense" : checkpoint.format()->name();
  std::map<std::string, const TensorInfo*> rest;
  for (const TensorInfo& tensor : result.tensors) {
    rest[tensor.name] = &tensor;
    result.bytes += tensor.bytes();
  }
  try {
    const Model model(checkpoint);
    for (Index block = 0; block < model.blocks(); ++block)
      for (const LinearInfo& linear : model.program(block).linears) {
        Module module = inspect_module(checkpoint, linear);
        module.bytes = take_bytes(rest, linear.module);
        result.parameters += linear.rows * linear.cols;
        if (module.quantized) {
          result.weights += linear.rows * linear.cols;
          result.weight_bytes += module.bytes;
        }
        result.modules.push_back(std::move(module));
      }
  } catch (const Error& error) {
    if (error.status() != Status::Unsupported) throw;
    result.notes.push_back(error.what());
  }
  for (const auto& [name, tensor] : rest) result.parameters += tensor->elements();
  return result;
}

json module_json(const Module& module) {
  json object = {{"module", module.name},         {"rows", module.rows}, {"cols", module.cols},
                 {"quantized", module.quantized}, {"bits", module.bits}, {"bytes", module.bytes},
                 {"dtype", module.dtype}};
  if (module.quantized) {
    object["group_size"] = module.group_size;
    object["symmetric"] = module.symmetric;
    object["group_index"] = module.group_index;
  }
  return object;
}

json inspection_json(const Inspection& result) {
  json tensors = json::array(), modules = json::array();
  for (const TensorInfo& tensor : result.tensors)
    tensors.push_back({{"name", tensor.name}, {"dtype", dtype_name(tensor.dtype)}, {"shape", tensor.shape}});
  for (const Module& module : result.modules) modules.push_back(module_json(module));
  json object = {{"model", result.directory},    {"model_type", result.model_type},
                 {"format", result.format},      {"parameters", result.parameters},
                 {"tensor_bytes", result.bytes}, {"model_bits_per_weight", result.model_bits()},
                 {"notes", result.notes},        {"modules", std::move(modules)},
                 {"tensors", std::move(tensors)}};
  if (result.weights > 0) object["bits_per_weight"] = result.weight_bits();
  return object;
}

std::string shape_text(const TensorInfo& tensor) {
  std::string text;
  for (std::int64_t size : tensor.shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::string inspection_table(const Inspection& result, bool with_tensors) {
  std::string text =
      fmt::format("{}: {}, format {}\n{} parameters in {} tensors, {:.1f} MB, {:.3f} bits per parameter\n",
                  result.directory, result.model_type, result.format, result.parameters, result.tensors.size(),
                  static_cast<double>(result.bytes) / 1e6, result.model_bits());
  if (result.weights > 0)
    text += fmt::format("{:.3f} bits per quantised weight, everything stored included\n", result.weight_bits());
  std::size_t width = 6;
  for (const Module& module : result.modules) width = std::max(width, module.name.size());
  if (!result.modules.empty())
    text += fmt::format("\n{:<{}}  {:>13}  {:>4} {:>6}  {}\n", "module", width, "out x in", "bits", "group", "kind");
  for (const Module& module : result.modules)
    text += fmt::format("{:<{}}  {:>13}  {:>4} {:>6}  {}\n", module.name, width,
                        fmt::format("{} x {}", module.rows, module.cols), module.bits,
                        module.quantized ? std::to_string(module.group_size) : "-",
                        module.quantized ? fmt::format("{}, {} scales{}", module.symmetric ? "symmetric" : "asymmetric",
                                                       module.dtype, module.group_index ? ", group index" : "")
                                         : module.dtype);
  if (with_tensors) text += "\n";
  if (with_tensors)
    for (const TensorInfo& tensor : result.tensors)
      text += fmt::format("{:<8} {:>16}  {}\n", dtype_name(tensor.dtype), shape_text(tensor), tensor.name);
  for (const std::string& note : result.notes) text += "note: " + note + "\n";
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
  add_common_flags(*command, common, false);
  command->callback([arguments, &common] {
    const Inspection result = inspect(arguments->model);
    if (common.json)
      print_json(inspection_json(result));
    else
      print(inspection_table(result, arguments->tensors));
  });
}

}  // namespace halftone::cli
