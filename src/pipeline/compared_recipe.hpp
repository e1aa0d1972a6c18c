// One recipe of a comparison: its plan, and the row of the table that it comes to.
#pragma once

#include "halftone/pipeline/comparison.hpp"
#include "halftone/pipeline/plan.hpp"
#include "pipeline/walk_device.hpp"

namespace halftone {

class ComparedRecipe {
 public:
  /// Plans the recipe; `device`: null for the CPU. Throws what make_plan and plan_device throw, naming the recipe.
  ComparedRecipe(const Context<Cpu>& context, const Model& model, const NamedRecipe& recipe, const WalkDevice* device);

  const RunPlan& plan() const { return plan_; }
  RunPlan& plan() { return plan_; }
  const std::string& name() const { return row_.name; }
  /// True if the recipe tunes: it then walks through the model by itself, before or after the others.
  bool tunes() const { return plan_.tune.steps > 0; }

  /// Takes a matrix that was solved into account. The report is valid until the next one.
  const LayerReport& count(const PlannedMatrix& planned, const QuantizedMatrix& solved);
  void note(std::string text) { row_.notes.push_back(std::move(text)); }
  /// Seconds of the recipe's own work so far.
  double& seconds() { return row_.seconds; }

  /// The row of the table; `block_weights`, `block_bits`: elements of all matrices in the blocks, and the bits that
  /// they take in the original.
  ComparedModel finish(const Evaluation& evaluation, double block_weights, double block_bits);

 private:
  RunPlan plan_;
  bool plain_values_;      ///< the format stores no codes
  Index stored_bits_ = 0;  ///< of all matrices solved so far: their codes and what belongs to them, without a gap
  ComparedModel row_;
};

}  // namespace halftone
