#include "pipeline/plan_budget.hpp"

#include <algorithm>  // any_of
#include <cmath>      // floor, isfinite

namespace halftone {
namespace {

/// Ratios of the OWQ code by the end of a module's name: OPT, BLOOM and Falcon have two layers of 4·d², Llama three of
/// about 8/3·d² (fused ones likewise).
constexpr std::pair<std::string_view, double> paper_ratios[] = {
    {"fc1", 0.25},      {"fc2", 0.25},        {"dense_h_to_4h", 0.25}, {"dense_4h_to_h", 0.25},
    {"up_proj", 0.375}, {"gate_proj", 0.375}, {"down_proj", 0.375},    {"gate_up_proj", 0.375}};

/// True if the module's name is `suffix` or ends in "." + suffix.
bool ends_in(std::string_view module, std::string_view suffix) {
  return module.ends_with(suffix) &&
         (module.size() == suffix.size() || module[module.size() - suffix.size() - 1] == '.');
}

/// What a format stores of a matrix; what it would, without a gap, where it stores plain values.
Index stored_bits(const Format& format, const MatrixPlan& matrix) {
  if (!format.stores_codes()) return packed_bits(matrix);
  Index bits = 0;
  for (const TensorInfo& tensor : format.tensors(matrix)) bits += 8 * tensor.bytes();
  return bits;
}

BudgetLayer layer_of(const OutlierBudget& budget, const Format& format, const BudgetedMatrix& budgeted) {
  const MatrixPlan& matrix = budgeted.planned.matrix;
  BudgetLayer layer;
  layer.rows = matrix.rows;
  layer.cols = matrix.cols;
  layer.share = budgeted.may_keep ? budget_share(budget, matrix.module) : 0;
  MatrixPlan changed = matrix;
  changed.outlier_columns = 0;
  changed.group_index = matrix.group_index && matrix.act_order;
  layer.plain_bits = stored_bits(format, changed);
  changed = matrix;
  changed.outlier_columns = 1;
  const Index one = stored_bits(format, changed);
  changed.outlier_columns = 2;
  layer.first_column_bits = one - layer.plain_bits;
  layer.column_bits = stored_bits(format, changed) - one;
  return layer;
}

/// The paper's rule, block by block. All matrices of a block that may keep columns have the same bits.
std::vector<Index> paper_columns(const OutlierBudget& budget, std::span<const BudgetedMatrix> matrices,
                                 std::span<const BudgetLayer> layers) {
  std::vector<Index> columns;
  for (std::size_t first = 0; first < matrices.size();) {
    std::size_t end = first;
    int bits = 0;
    for (; end < matrices.size() && matrices[end].block == matrices[first].block; ++end) {
      if (layers[end].share == 0) continue;
      const MatrixPlan& matrix = matrices[end].planned.matrix;
      require(bits == 0 || bits == matrix.grid.bits, Status::InvalidArgument, "target_bits: ", matrix.module, " has ",
              matrix.grid.bits, " bits and another matrix of its block ", bits,
              "; the paper's rule wants the same (--budget honest takes any)");
      bits = matrix.grid.bits;
    }
    const auto block = layers.subspan(first, end - first);
    const std::vector<Index> kept =
        bits == 0 ? std::vector<Index>(block.size(), 0) : paper_budget(budget.target_bits, bits, block);
    columns.insert(columns.end(), kept.begin(), kept.end());
    first = end;
  }
  return columns;
}

/// Bits per weight as the OWQ code counts them: 16 − b on top of the code of a kept weight, nothing else.
double believed_bits(const RunPlan& plan) {
  double bits = 0, weights = 0;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        const MatrixPlan& matrix = planned.matrix;
        const auto rows = static_cast<double>(matrix.rows), cols = static_cast<double>(matrix.cols);
        bits += rows * (cols * matrix.grid.bits +
                        static_cast<double>(matrix.outlier_columns) * static_cast<double>(16 - matrix.grid.bits));
        weights += rows * cols;
      }
  return bits / weights;
}

}  // namespace

Recipe with_budget_bits(Recipe recipe) {
  const OutlierBudget& budget = recipe.budget;
  if (budget.target_bits == 0) {
    require(budget.shares.empty() && budget.rule == BudgetRule::Honest, Status::InvalidArgument,
            "recipe: a rule or shares of a budget without target_bits, wanted both or neither");
    return recipe;
  }
  require(budget.target_bits >= 2 && budget.target_bits <= 16, Status::InvalidArgument, "recipe: target_bits is ",
          budget.target_bits, ", wanted 2 .. 16 bits per weight, or 0 for none");
  for (const auto& [suffix, share] : budget.shares)
    require(!suffix.empty() && std::isfinite(share) && share >= 0, Status::InvalidArgument, "recipe: the share of '",
            suffix, "' in the budget is ", share, ", wanted the end of a module's name and a number from 0 on");
  if (recipe.options.count("bits") == 0)
    recipe.options["bits"] = std::to_string(static_cast<int>(std::min(8.0, std::floor(budget.target_bits))));
  return recipe;
}

void require_open(const OutlierBudget& budget, std::string_view module, const OptionMap& options) {
  const auto given = options.find("outlier_columns");
  require(budget.target_bits == 0 || given == options.end(), Status::InvalidArgument, "recipe: ", module,
          " is to keep outlier_columns=", given == options.end() ? "" : given->second, " and target_bits is ",
          budget.target_bits, "; wanted one of the two");
}

double budget_share(const OutlierBudget& budget, std::string_view module) {
  double share = 1;
  if (budget.rule == BudgetRule::Paper)
    for (const auto& [suffix, ratio] : paper_ratios)
      if (ends_in(module, suffix)) share = ratio;
  std::size_t longest = 0;
  for (const auto& [suffix, given] : budget.shares)
    if (suffix.size() > longest && ends_in(module, suffix)) {
      longest = suffix.size();
      share = given;
    }
  return share;
}

std::vector<Index> budgeted_columns(const OutlierBudget& budget, const Format& format,
                                    std::span<const BudgetedMatrix> matrices) {
  std::vector<BudgetLayer> layers;
  for (const BudgetedMatrix& matrix : matrices) layers.push_back(layer_of(budget, format, matrix));
  const bool any = std::any_of(layers.begin(), layers.end(), [](const BudgetLayer& layer) { return layer.share > 0; });
  require(any || matrices.empty(), Status::InvalidArgument, "target_bits: ", budget.target_bits,
          ", but no matrix may keep outlier columns: its method has none, or its share is 0; wanted a method with the "
          "option outlier_columns, such as owq");
  return budget.rule == BudgetRule::Paper ? paper_columns(budget, matrices, layers)
                                          : honest_budget(budget.target_bits, layers);
}

void note_budget(const OutlierBudget& budget, RunPlan& plan) {
  if (budget.target_bits == 0) return;
  Index kept = 0;
  std::map<std::string, double, std::less<>> unused = budget.shares;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        kept += planned.matrix.outlier_columns;
        std::erase_if(unused, [&](const auto& share) { return ends_in(planned.matrix.module, share.first); });
      }
  const double stored = find_format(plan.format).stores_codes() ? plan.bits_per_weight : plan.code_bits_per_weight;
  std::string text = concat("budget of ", budget.target_bits, " bits per weight: ", kept, " outlier columns");
  if (budget.rule == BudgetRule::Paper)
    text += concat("; the paper's rule counts ", believed_bits(plan),
                   " (neither scales and zeros nor the codes under kept weights)");
  plan.notes.push_back(concat(text, "; really stored are ", stored));
  for (const auto& share : unused) plan.notes.push_back("budget share '" + share.first + "' fits no module");
}

}  // namespace halftone
