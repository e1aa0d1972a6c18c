// The table of a comparison as text, cell by cell: what the command prints and what the page shows.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "halftone/pipeline/comparison.hpp"

namespace halftone {

inline constexpr std::size_t comparison_columns = 11;
/// The column from which on the cells are numbers.
inline constexpr std::size_t first_number = 3;

using ComparisonRow = std::array<std::string, comparison_columns>;

/// "recipe", "method", "format", "bits/weight", ...
const ComparisonRow& comparison_header();
/// One row a model, the original first.
std::vector<ComparisonRow> comparison_rows(const ComparisonReport& report);
/// Sentences on what was measured, on which data, and the notes of every recipe.
std::vector<std::string> comparison_remarks(const ComparisonReport& report);

/// The numbers of the table, each as it stands there.
std::string bits_text(double bits);
std::string kl_text(double nats);
std::string seconds_text(double seconds);

}  // namespace halftone
