// How many outlier columns (outliers.hpp) a layer gets, so that a model comes to a wanted number of bits per weight.
// Two rules: the paper's, as its released code counts (OWQ, arXiv 2306.02272), and one that counts what is stored.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "halftone/core/options.hpp"
#include "halftone/core/view.hpp"

namespace halftone {

enum class BudgetRule : std::int32_t {
  Honest = 0,  ///< everything stored counts: scales, zeros, indices, 16 bits on top of a kept weight's code
  Paper = 1,   ///< as the OWQ code: 16 − b bits a kept weight, nothing else
};
template <>
struct EnumWords<BudgetRule> {
  static constexpr std::string_view values[] = {"honest", "paper"};
};

/// A matrix [rows, cols] as the honest rule sees it.
struct BudgetLayer {
  Index rows = 0, cols = 0;
  Index plain_bits = 0;         ///< all that is stored of it without outlier columns
  Index first_column_bits = 0;  ///< what the first outlier column adds
  Index column_bits = 0;        ///< what every further one adds
  double share = 1;  ///< the layer's part: of two layers, that with the larger share · cols gets as much more columns
};

/// Outlier columns of each layer: as many as fit, Σ stored <= target_bits · Σ rows·cols, spread over the layers in
/// proportion to share · cols. None can get one more, unless it is full or its share is 0. Ties go to the earlier
/// layer. Throws Status::InvalidArgument for a target outside 2 .. 16, one below what the layers take without outlier
/// columns, and a share that is negative or not finite.
std::vector<Index> honest_budget(double target_bits, std::span<const BudgetLayer> layers);

/// Outlier columns of each linear layer of one block by the rule of the OWQ code. With t = target_bits, b = bits and
/// the n layers that have a share above 0:
///   r = 12/(16 − b) · (t − b)/n,   k = round(cols · r · share), made even by adding one; at most cols.
/// 12: an OPT block has 12·d² weights; with share 1/4 for fc1 and fc2 each of its six layers keeps d²·r of them. Only
/// cols and share count. Throws Status::InvalidArgument for a target outside 2 .. 16, and unless bits = floor(t).
std::vector<Index> paper_budget(double target_bits, int bits, std::span<const BudgetLayer> layers);

}  // namespace halftone
