// The recipe's outlier budget in a plan: which matrix keeps how many columns, and what is to be said of it.
#pragma once

#include <span>

#include "halftone/pipeline/plan.hpp"

namespace halftone {

/// A matrix that will be quantised.
struct BudgetedMatrix {
  PlannedMatrix planned;  ///< with one outlier column where it may keep any
  Index block = 0;        ///< of the model
  bool may_keep = true;   ///< false: its method has no outlier columns
};

/// The recipe, checked, with the whole part of the target as bits where it names none (as in the OWQ code). Throws
/// Status::InvalidArgument for a budget that makes no sense, alone or beside the recipe's options.
Recipe with_budget_bits(Recipe recipe);
/// Throws Status::InvalidArgument if a matrix has a budget and its own number of outlier columns.
void require_open(const OutlierBudget& budget, std::string_view module, const OptionMap& options);

/// The part of the budget that a module gets.
double budget_share(const OutlierBudget& budget, std::string_view module);
/// Outlier columns of each matrix of a model, in their order, under a format. Throws Status::InvalidArgument where the
/// target cannot be met.
std::vector<Index> budgeted_columns(const OutlierBudget& budget, const Format& format,
                                    std::span<const BudgetedMatrix> matrices);
/// Adds to the notes of a finished plan what the budget came to, and shares that no module has.
void note_budget(const OutlierBudget& budget, RunPlan& plan);

}  // namespace halftone
