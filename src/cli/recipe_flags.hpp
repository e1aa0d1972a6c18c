// A recipe on the command line: a file, the flags laid over it, and the calibration data. What `quantize` takes as it
// stands, and `compare` in words for each of its recipes.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "halftone/pipeline/recipe.hpp"

namespace halftone::cli {

struct RecipeArguments {
  std::string file;
  std::optional<std::string> method, format;
  OptionMap options;
  std::vector<std::string> keep;
  std::vector<std::pair<std::string, std::string>> layers;
  std::optional<double> target_bits;
  std::optional<std::string> budget;
  std::vector<std::string> shares;  ///< "down_proj=0.25"
  std::optional<std::string> tune, effort, compute;
};

struct CalibrationArguments {
  std::optional<std::string> file;
  std::optional<Index> windows, length;
  std::optional<std::uint64_t> seed;
};

/// Adds --method, --format, --recipe, --keep, --layer, --target-bits, --budget, --budget-share, --compute, --effort and
/// --tune; not the options of methods (add_method_flags).
void add_recipe_flags(CLI::App& command, RecipeArguments& arguments);
/// Adds --calibration, --windows, --window-length and --seed.
void add_calibration_flags(CLI::App& command, CalibrationArguments& arguments);

/// The recipe file, if any, with the flags laid over it. Rules of the command line come before the file's. Throws what
/// load_recipe throws, and Status::InvalidArgument for malformed rules.
Recipe recipe_of(const RecipeArguments& arguments);
/// Lays the flags over what a recipe says of its calibration data.
void lay_over(Calibration& calibration, const CalibrationArguments& arguments);

}  // namespace halftone::cli
