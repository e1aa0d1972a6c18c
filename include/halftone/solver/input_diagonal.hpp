// diag(H): which inputs are dead, what damping is measured in, the key of act-order, the weights of the grid search.
#pragma once

#include <algorithm>  // nth_element
#include <cmath>      // isfinite
#include <cstdint>
#include <string_view>
#include <vector>

#include "halftone/quant/statistics.hpp"

namespace halftone {

/// diag(H) and what follows from it, by original column. A column is dead if its inputs were zero in every token, or
/// below rounding error beside the others: H_ii <= 1e-14 · mean(diag H). The GPTQ code tests for exact zero alone.
struct InputDiagonal {
  std::vector<double> values;      ///< diag(H), 0 for dead columns
  std::vector<std::uint8_t> dead;  ///< 1: dead
  Index dead_columns = 0;
  double mean = 0;  ///< over the columns that are not dead; 0 if all are
  double median = 0;

  explicit InputDiagonal(std::vector<double> diagonal) : values(std::move(diagonal)), dead(values.size(), 0) {
    double sum = 0;
    for (double value : values) sum += value;
    const double threshold = 1e-14 * sum / static_cast<double>(values.size());
    std::vector<double> live;
    for (std::size_t i = 0; i < values.size(); ++i) {
      dead[i] = values[i] <= threshold ? 1 : 0;
      if (dead[i] != 0)
        values[i] = 0;
      else
        live.push_back(values[i]);
    }
    dead_columns = static_cast<Index>(values.size() - live.size());
    if (live.empty()) return;
    mean = sum / static_cast<double>(live.size());
    std::nth_element(live.begin(), live.begin() + static_cast<std::ptrdiff_t>(live.size() / 2), live.end());
    median = live[live.size() / 2];
  }
};

/// The diagonal of a stage's H; `who` is the solver, for messages. Throws Status::InvalidArgument if the statistics
/// hold no second moments or no token was added; Status::InvalidData if H overflowed.
template <class S, class Backend>
InputDiagonal input_diagonal(std::string_view who, const InputStatistics<S, Backend>& statistics) {
  require(statistics.moments() != Moments::None, Status::InvalidArgument, who,
          ": the statistics hold no second moments of the inputs, wanted H");
  require(statistics.tokens() > 0, Status::InvalidArgument, who, ": the statistics hold 0 tokens, wanted 1 or more");
  std::vector<double> values;
  statistics.second_sums().each_strip([&](Index first, MatrixView<const S> rows) {
    for (const double value : diagonal(statistics.context(), rows.middle_cols(first, rows.rows)))
      values.push_back(value);
  });
  for (std::size_t i = 0; i < values.size(); ++i)
    require(std::isfinite(values[i]), Status::InvalidData, who, ": the squared inputs of column ", i,
            " overflow: their sum is ", values[i]);
  return InputDiagonal(std::move(values));
}

}  // namespace halftone
