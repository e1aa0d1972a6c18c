// The pictures of a comparison, each an element of SVG. A series is a recipe, by its number in the report.
#pragma once

#include <string>

#include "halftone/pipeline/comparison.hpp"

namespace halftone::page {

/// KL (log axis) against bits per weight, a labelled mark for each recipe. Recipes without a positive KL have no place
/// on the axis and are named below it.
std::string quality_chart(const ComparisonReport& report);
/// Relative error of every layer (log axis), layers of the same kind side by side, a line for each recipe.
std::string layer_chart(const ComparisonReport& report);
/// Seconds of each recipe: solving its matrices, and the rest.
std::string time_chart(const ComparisonReport& report);
/// The recipes with their marks, in HTML.
std::string legend(const ComparisonReport& report);

}  // namespace halftone::page
