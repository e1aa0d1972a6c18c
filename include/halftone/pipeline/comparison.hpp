// Several recipes on one model in one run: how far each takes it from the original, at how many bits.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "halftone/backend/compute_device.hpp"
#include "halftone/model/evaluation.hpp"
#include "halftone/pipeline/progress.hpp"
#include "halftone/pipeline/recipe.hpp"
#include "halftone/pipeline/report.hpp"

namespace halftone {

struct NamedRecipe {
  std::string name;
  Recipe recipe;
};

/// A row of the comparison: the model after one recipe, or the original.
struct ComparedModel {
  std::string name;
  std::string method, format;  ///< methods that its matrices have, "gptq, rtn"; both empty for the original
  double bits_per_weight = 0;  ///< of all matrices in the blocks, those that a rule keeps included: everything stored;
                               ///< where the format stores plain values, what codes, scales, zeros and outliers take
                               ///< without a gap (stored_bits)
  Index bytes = 0;             ///< of the weights' files, counted likewise
  Evaluation evaluation;       ///< its divergence is that from the original
  double seconds = 0;          ///< of its own share: forward passes, statistics, solving; the evaluation is left out
  double solve_seconds = 0;    ///< of these, in quantising matrices one by one
  std::vector<std::string> notes;
  std::vector<LayerReport> layers;  ///< in the order in which they were solved
};

struct ComparisonReport {
  std::string model;        ///< directory
  std::string calibration;  ///< file; empty where no recipe needs one
  Index calibration_windows = 0, calibration_length = 0;
  Index evaluation_windows = 0, evaluation_length = 0;
  ComparedModel original;
  std::vector<ComparedModel> recipes;  ///< in the order given
  double seconds = 0;                  ///< of the whole run
  Index peak_bytes = 0;                ///< largest resident size of this process; 0 where the system does not say
};

/// Quantises `model` by each recipe, keeps nothing of it on the disk, and evaluates the results on `ids` [windows,
/// length]. Each result has the numbers that quantize_model with the recipe alone and `evaluate` against the original
/// give, to the last bit.
///
/// All go through the model together, a block at a time: the block is read once, the full-precision streams (of
/// calibration and evaluation) are advanced once, and every recipe advances its own. So memory is, for the original and
/// every recipe, one block in float and the hidden states of all calibration and evaluation windows; logits are held
/// for a chunk of tokens of two models. Recipes that tune come after the others, one at a time, each with the memory of
/// its own run.
///
/// The recipes must agree on their calibration data: what one leaves open another may say. Throws
/// Status::InvalidArgument where they do not, for no recipe, and for names that are empty, occur twice or are
/// "original"; Status::Cancelled if the callback said so; and what quantize_model and evaluate throw.
///
/// On a `device` blocks, hidden states and logits are there, as far as its memory allows (evaluate_model.hpp); the
/// numbers are those of runs on it.
ComparisonReport compare_recipes(const Context<Cpu>& context, const Model& model, std::span<const NamedRecipe> recipes,
                                 MatrixView<const std::int32_t> ids, const ProgressCallback& progress = {},
                                 const ComputeDevice& device = {});

/// One JSON object: `model`, `original{}`, `recipes[]` with everything above, `layers[]` of each included.
nlohmann::json comparison_json(const ComparisonReport& report);
/// A table for people: a line for the original and one for each recipe, then what was measured on.
std::string comparison_table(const ComparisonReport& report);
/// A page of HTML that needs nothing else, neither files nor scripts: the table, and pictures of KL against bits per
/// weight, of the error of every layer, and of time. Its numbers are the table's. Text from outside is escaped.
std::string comparison_page(const ComparisonReport& report);

}  // namespace halftone
