#include "pipeline/fingerprint.hpp"

#include <nlohmann/json.hpp>
#include <vector>

#include "halftone/core/version.hpp"
#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

using nlohmann::json;

std::uint64_t hash_text(std::string_view text, std::uint64_t seed = 0) {
  return hash_of(std::span<const char>(text.data(), text.size()), seed);
}

json model_fingerprint(const Context<Cpu>& context, const Checkpoint& checkpoint) {
  const TensorSource& source = checkpoint.tensors();
  std::uint64_t shapes = 0;
  std::vector<std::uint64_t> contents;
  Index bytes = 0;
  for (const TensorInfo& tensor : source.tensors()) {
    shapes = hash_text(concat(tensor.name, '\n', dtype_name(tensor.dtype)), shapes);
    shapes = hash_of(std::span<const std::int64_t>(tensor.shape), shapes);
    contents.push_back(tree_hash(context.threads(), source.bytes(tensor.name)));
    source.release(tensor.name);
    bytes += tensor.bytes();
  }
  return {{"config", hex(hash_text(checkpoint.config().dump()))},
          {"tensors", contents.size()},
          {"tensor_shapes", hex(shapes)},
          {"tensor_bytes", bytes},
          {"tensor_contents", hex(hash_of(std::span<const std::uint64_t>(contents)))}};
}

/// Options under the method's name, gathered so that a difference can be named: one entry for each distinct choice, and
/// one hash for who got which.
json recipe_fingerprint(const RunPlan& plan) {
  json choices = json::object();
  std::uint64_t modules = 0;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        const json options = options_json(planned.method, planned.options);
        modules = hash_text(planned.matrix.module + "\n" + planned.method + "\n" + options.dump(), modules);
        json& list = choices[planned.method];
        if (list.is_null()) list = json::array();
        if (std::find(list.begin(), list.end(), options) == list.end()) list.push_back(options);
      }
  json fingerprint = {{"methods", std::move(choices)}, {"modules", hex(modules)}, {"format", plan.format}};
  if (plan.tune.steps > 0) fingerprint["tune"] = tune_text(plan.tune);
  return fingerprint;
}

}  // namespace

json run_fingerprint(const Context<Cpu>& context, const Model& model, const RunPlan& plan, std::int64_t shard_bytes,
                     MatrixView<const std::int32_t> ids) {
  std::uint64_t tokens = 0;
  for (Index window = 0; window < ids.rows; ++window)
    tokens = hash_of(std::span<const std::int32_t>(ids.row(window), static_cast<std::size_t>(ids.cols)), tokens);
  json backend = {{"instruction_set", context.isa()},
                  {"products", context.products()},
                  {"half_units", context.half_units()},
                  {"compute", word_of(plan.products)}};
  if (!plan.device.name.empty()) backend["device"] = plan.device.name;
  return {{"halftone", library_version()},
          {"backend", std::move(backend)},
          {"model", model_fingerprint(context, model.checkpoint())},
          {"recipe", recipe_fingerprint(plan)},
          {"output", {{"shard_bytes", shard_bytes}}},
          {"calibration", {{"windows", ids.rows}, {"window_length", ids.cols}, {"tokens", hex(tokens)}}}};
}

}  // namespace halftone
