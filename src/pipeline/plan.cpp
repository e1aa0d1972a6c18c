#include "halftone/pipeline/plan.hpp"

#include <algorithm>  // find, max
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "halftone/format/safetensors.hpp"
#include "pipeline/module_rules.hpp"
#include "pipeline/plan_budget.hpp"
#include "pipeline/plan_cost.hpp"

namespace halftone {
namespace {

/// A matrix that the rules want quantised, before its format is known.
struct Candidate {
  Index block = 0;
  int stage = 0, linear = 0;
  ModuleChoice choice;
};

/// Formats that `auto` tries, the most useful first. Native and dense express everything.
constexpr std::string_view automatic_formats[] = {"compressed-tensors", "gptq", "gptq_v2", "native", "dense"};

/// The quantised matrix as `format` stores it. Throws what Format::check throws.
PlannedMatrix plan_matrix(const Context<Cpu>& context, const Model& model, const Candidate& candidate,
                          const Format& format) {
  const LinearInfo& linear = model.program(candidate.block).linears[static_cast<std::size_t>(candidate.linear)];
  const auto& [method, chosen] = candidate.choice;
  PlannedMatrix planned;
  planned.method = method;
  planned.linear = candidate.linear;
  const auto asked = make_quantizer(context, method, chosen);
  planned.options = asked->options();
  MatrixPlan& matrix = planned.matrix;
  matrix.module = linear.module;
  matrix.rows = linear.rows;
  matrix.cols = linear.cols;
  matrix.dtype = model.checkpoint().tensors().info(linear.module + ".weight").dtype;
  matrix.method = method;
  matrix.grid = asked->grid();
  format.adapt(matrix.grid, matrix.dtype, chosen.count("scale_type") != 0);
  planned.options["scale_type"] = word_of(matrix.grid.scale_type);
  planned.options["minimum_zero"] = std::to_string(matrix.grid.minimum_zero);

  const auto quantizer = make_quantizer(context, method, planned.options);
  matrix.grid = quantizer->grid();
  matrix.act_order = quantizer->act_order();
  matrix.group_index = quantizer->group_index();
  matrix.outlier_columns = quantizer->outlier_columns(matrix.cols);
  matrix.binary_coded = quantizer->binary_coded();
  planned.moments = quantizer->moments();
  format.check(matrix);
  planned.code_bits = packed_bits(matrix);
  for (const TensorInfo& tensor : format.tensors(matrix)) planned.stored_bytes += tensor.bytes();
  return planned;
}

std::vector<Candidate> find_candidates(const Model& model, ModuleRules& rules, std::vector<std::string>& kept) {
  std::vector<Candidate> list;
  for (Index block = 0; block < model.blocks(); ++block) {
    const BlockProgram& program = model.program(block);
    for (std::size_t stage = 0; stage < program.stages.size(); ++stage)
      for (int linear : program.stages[stage].linears) {
        const std::string& module = program.linears[static_cast<std::size_t>(linear)].module;
        if (auto choice = rules.choose(module))
          list.push_back({block, static_cast<int>(stage), linear, std::move(*choice)});
        else
          kept.push_back(module);
      }
  }
  return list;
}

/// Gives every candidate the outlier columns that the budget has for it under the format.
void spend(const OutlierBudget& budget, const Context<Cpu>& context, const Model& model, const Format& format,
           std::vector<Candidate>& candidates) {
  std::vector<BudgetedMatrix> matrices;
  for (Candidate& candidate : candidates) {
    auto& [method, options] = candidate.choice;
    const std::string& module =
        model.program(candidate.block).linears[static_cast<std::size_t>(candidate.linear)].module;
    require_open(budget, module, options);
    const bool may_keep = has_option(find_method(method), "outlier_columns");
    if (may_keep) options["outlier_columns"] = budget_share(budget, module) > 0 ? "1" : "0";
    matrices.push_back({plan_matrix(context, model, candidate, format), candidate.block, may_keep});
  }
  const std::vector<Index> columns = budgeted_columns(budget, format, matrices);
  for (std::size_t i = 0; i < candidates.size(); ++i)
    if (matrices[i].may_keep) candidates[i].choice.options["outlier_columns"] = std::to_string(columns[i]);
}

/// All candidates under one format, block by block and stage by stage.
std::vector<std::vector<PlannedStage>> plan_blocks(const Context<Cpu>& context, const Model& model,
                                                   std::vector<Candidate> candidates, const OutlierBudget& budget,
                                                   const Format& format) {
  if (budget.target_bits > 0) spend(budget, context, model, format, candidates);
  std::vector<std::vector<PlannedStage>> blocks(static_cast<std::size_t>(model.blocks()));
  for (const Candidate& candidate : candidates) {
    auto& stages = blocks[static_cast<std::size_t>(candidate.block)];
    if (stages.empty() || stages.back().stage != candidate.stage)
      stages.push_back({.stage = candidate.stage, .moments = Moments::None, .spill_sums = false, .matrices = {}});
    PlannedMatrix planned = plan_matrix(context, model, candidate, format);
    stages.back().moments = std::max(stages.back().moments, planned.moments);
    stages.back().matrices.push_back(std::move(planned));
  }
  return blocks;
}

/// True if the format would narrow the grid that was asked for (v1 of `gptq` has no zero point 0).
bool narrows(const std::vector<std::vector<PlannedStage>>& blocks, const std::vector<Candidate>& candidates) {
  std::size_t i = 0;
  for (const auto& stages : blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        const OptionMap& asked = candidates[i++].choice.options;
        if (!planned.matrix.grid.symmetric && planned.matrix.grid.minimum_zero > 0 && asked.count("minimum_zero") == 0)
          return true;
      }
  return false;
}

/// The first format of the list that expresses every matrix as it was asked for.
void choose_format(const Context<Cpu>& context, const Model& model, const std::vector<Candidate>& candidates,
                   const OutlierBudget& budget, RunPlan& plan) {
  std::string reason;
  for (std::string_view name : automatic_formats) {
    try {
      plan.blocks = plan_blocks(context, model, candidates, budget, find_format(name));
    } catch (const Error& error) {
      if (error.status() != Status::Unsupported || name == std::end(automatic_formats)[-1]) throw;
      if (reason.empty()) reason = error.what();
      continue;
    }
    if (narrows(plan.blocks, candidates)) continue;
    plan.format = name;
    if (!reason.empty()) plan.notes.push_back("format " + plan.format + " taken, since " + reason);
    return;
  }
}

/// What the files will hold: the checkpoint's tensors by name, each quantised weight replaced by its format's tensors.
void plan_tensors(const TensorSource& source, RunPlan& plan) {
  std::map<std::string, std::vector<TensorInfo>, std::less<>> replaced;
  const Format& format = find_format(plan.format);
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices)
        replaced[planned.matrix.module + ".weight"] = format.tensors(planned.matrix);
  for (const TensorInfo& tensor : source.tensors()) {
    plan.parameters += tensor.elements();
    plan.checkpoint_bytes += tensor.bytes();
    const auto found = replaced.find(tensor.name);
    if (found == replaced.end()) {
      plan.tensors.push_back(tensor);
      plan.copied.push_back(tensor.name);
    } else {
      plan.tensors.insert(plan.tensors.end(), found->second.begin(), found->second.end());
    }
  }
}

/// True if every linear of the blocks is stored in 16 bit.
bool has_half_weights(const Model& model) {
  const TensorSource& source = model.checkpoint().tensors();
  for (Index block = 0; block < model.blocks(); ++block)
    for (const LinearInfo& linear : model.program(block).linears) {
      const TensorInfo* tensor = source.find(linear.module + ".weight");
      if (tensor != nullptr && dtype_bits(tensor->dtype) != 16) return false;
    }
  return true;
}

/// Tuning is left to float unless bf16 is asked for: its own products are float, and take the most time.
ProductType product_type(bool half_units, const Model& model, Compute wanted, bool tunes) {
  const bool gains = half_units && !tunes && has_half_weights(model);
  const bool half = wanted == Compute::BFloat16 || (wanted == Compute::Auto && gains);
  return half ? ProductType::BFloat16 : ProductType::Float;
}

void plan_totals(RunPlan& plan) {
  Index code_bits = 0, stored_bytes = 0;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages) {
      plan.moments = std::max(plan.moments, stage.moments);
      for (const PlannedMatrix& planned : stage.matrices) {
        plan.weights += planned.matrix.rows * planned.matrix.cols;
        code_bits += planned.code_bits;
        stored_bytes += planned.stored_bytes;
      }
    }
  Index tensor_bytes = 0;
  for (const TensorInfo& tensor : plan.tensors) tensor_bytes += tensor.bytes();
  const double weights = std::max(1.0, static_cast<double>(plan.weights));
  plan.code_bits_per_weight = static_cast<double>(code_bits) / weights;
  plan.bits_per_weight = 8 * static_cast<double>(stored_bytes) / weights;
  plan.model_bits_per_weight =
      8 * static_cast<double>(tensor_bytes) / std::max(1.0, static_cast<double>(plan.parameters));
}

}  // namespace

Index packed_bits(const MatrixPlan& plan) {
  const Index groups = checked_product(plan.rows, plan.grid.groups(plan.cols));
  const Index scale_bits = dtype_bits(dtype_of(plan.grid.scale_type));
  const Index parameters =
      plan.binary_coded ? (plan.grid.bits + 1) * scale_bits : scale_bits + (plan.grid.symmetric ? 0 : plan.grid.bits);
  return checked_product(plan.rows, plan.cols) * plan.grid.bits + groups * parameters +
         (plan.group_index ? 32 * plan.cols : 0) + plan.outlier_columns * (scale_bits * plan.rows + 32);
}

Index RunPlan::matrices() const {
  Index count = 0;
  for (const auto& stages : blocks)
    for (const PlannedStage& stage : stages) count += static_cast<Index>(stage.matrices.size());
  return count;
}

std::pair<Index, Index> calibration_shape(const Calibration& calibration) {
  if (calibration.file.empty()) return {0, 0};
  const WindowOptions& wanted = calibration.windows;
  if (calibration.file.extension() == ".safetensors") {
    const SafetensorsFile file(calibration.file);
    if (file.tensors().size() == 1 && file.tensors()[0].shape.size() == 2) {
      const std::vector<std::int64_t>& shape = file.tensors()[0].shape;
      return {std::min(wanted.windows.value_or(shape[0]), shape[0]), shape[1]};
    }
  }
  return {wanted.windows.value_or(WindowOptions::default_windows),
          wanted.length.value_or(WindowOptions::default_length)};
}

RunPlan make_plan(const Context<Cpu>& context, const Model& model, const Recipe& asked, Index windows, Index length,
                  std::optional<bool> half_units) {
  const Recipe recipe = with_budget_bits(asked);
  const Checkpoint& checkpoint = model.checkpoint();
  if (const Format* format = checkpoint.format(); format != nullptr && format->name() != "dense")
    fail(Status::Unsupported, checkpoint.name(), ": is already quantised, in the format ", format->name(),
         "; wanted the model that it was made from");
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  const bool no_data = windows == 0 && length == 0;
  require(no_data || (windows >= 1 && windows <= most && length >= 1 && length <= most), Status::InvalidArgument,
          "calibration: ", windows, " windows of ", length, " tokens, wanted 1 .. ", most, " of each");
  RunPlan plan;
  plan.windows = windows;
  plan.length = length;
  ModuleRules rules(recipe);
  const auto candidates = find_candidates(model, rules, plan.kept);
  plan.kept.insert(plan.kept.end(), model.kept_linears().begin(), model.kept_linears().end());
  for (const std::string& expression : rules.unused())
    plan.notes.push_back("rule '" + expression + "' matches no module, or none that an earlier rule leaves it");
  if (recipe.format == "auto") {
    choose_format(context, model, candidates, recipe.budget, plan);
  } else {
    plan.format = find_format(recipe.format).name();
    plan.blocks = plan_blocks(context, model, candidates, recipe.budget, find_format(recipe.format));
  }
  require(plan.matrices() > 0, Status::InvalidArgument,
          "recipe: its rules keep every linear layer, nothing is quantised");
  plan_tensors(checkpoint.tensors(), plan);
  plan_totals(plan);
  note_budget(recipe.budget, plan);
  plan.tune = recipe.tuning();
  check_tune(plan.tune);
  const std::string asking = plan.moments == Moments::None ? concat("tuning") : concat("method ", recipe.method);
  require(plan.streams() == 0 || !model.config().reads_images(), Status::Unsupported, checkpoint.name(), ": ", asking,
          " needs calibration data, and this model reads images: calibration with images is missing, wanted a method "
          "without data (rtn)");
  require(plan.streams() == 0 || !no_data, Status::InvalidArgument, asking,
          ": needs calibration data, got none (--calibration FILE)");
  plan.products =
      product_type(half_units.value_or(*context.half_units() != '\0'), model, recipe.compute, plan.tune.steps > 0);
  plan_cost(context, model, plan);
  return plan;
}

}  // namespace halftone
