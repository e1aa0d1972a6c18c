// What a comparison may take of a device's memory.
#pragma once

#include <deque>
#include <limits>

#include "pipeline/compared_recipe.hpp"

namespace halftone {

struct ComparisonRoom {
  static constexpr Index all = std::numeric_limits<Index>::max();
  Index calibration = all, evaluation = all;  ///< tokens whose hidden states stay with the backend, of each stream
  bool ahead = true;                          ///< there is room for a block more, which is read ahead
};

/// Of a device with `memory_limit` bytes, for recipes that do not tune; those that do have its memory for themselves.
/// Calibration and ids [windows, length]: as compare_recipes has them. Every stream keeps the same share of its tokens
/// there; where that is not all of them, and where a stage's sums find no room beside its solver, the recipes' plans
/// and notes say so.
ComparisonRoom comparison_room(const Model& model, std::deque<ComparedRecipe>& recipes,
                               MatrixView<const std::int32_t> calibration, MatrixView<const std::int32_t> ids,
                               Index memory_limit);

}  // namespace halftone
