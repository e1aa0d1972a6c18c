#include "halftone/solver/outlier_budget.hpp"

#include <algorithm>  // min
#include <cmath>      // floor, isfinite, nearbyint
#include <functional>
#include <queue>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

void check(double target_bits, std::span<const BudgetLayer> layers) {
  require(target_bits >= 2 && target_bits <= 16, Status::InvalidArgument, "target_bits: ", target_bits,
          " bits per weight, wanted 2 .. 16");  // false for NaN
  for (const BudgetLayer& layer : layers)
    require(std::isfinite(layer.share) && layer.share >= 0, Status::InvalidArgument, "target_bits: the share of a ",
            layer.rows, " x ", layer.cols, " layer is ", layer.share, ", wanted 0 or more");
}

/// The most bits that `weights` weights may take: bits / weights <= target_bits, in the arithmetic of the reports.
Index bits_allowed(double target_bits, Index weights) {
  const auto count = static_cast<double>(weights);
  auto bits = static_cast<Index>(std::floor(target_bits * count));
  while (static_cast<double>(bits) / count > target_bits) --bits;
  while (static_cast<double>(bits + 1) / count <= target_bits) ++bits;
  return bits;
}

/// A layer's claim to its next column: the part of its share it will then have had. The smallest is served first.
struct Claim {
  double part;
  std::size_t layer;
  bool operator>(const Claim& other) const { return part != other.part ? part > other.part : layer > other.layer; }
};

}  // namespace

std::vector<Index> honest_budget(double target_bits, std::span<const BudgetLayer> layers) {
  check(target_bits, layers);
  std::vector<Index> columns(layers.size(), 0);
  Index weights = 0, plain = 0;
  for (const BudgetLayer& layer : layers) {
    weights += layer.rows * layer.cols;
    plain += layer.plain_bits;
  }
  if (weights == 0) return columns;
  Index left = bits_allowed(target_bits, weights) - plain;
  require(left >= 0, Status::InvalidArgument, "target_bits: ", target_bits,
          " bits per weight, but codes, scales and zeros alone take ",
          static_cast<double>(plain) / static_cast<double>(weights),
          "; wanted a target above that, larger groups or fewer bits");

  std::priority_queue<Claim, std::vector<Claim>, std::greater<>> claims;
  const auto claim = [&](std::size_t i) {
    const BudgetLayer& layer = layers[i];
    if (layer.share > 0 && columns[i] < layer.cols)
      claims.push({static_cast<double>(columns[i] + 1) / (layer.share * static_cast<double>(layer.cols)), i});
  };
  for (std::size_t i = 0; i < layers.size(); ++i) claim(i);
  while (!claims.empty()) {
    const std::size_t i = claims.top().layer;
    claims.pop();
    const Index cost = columns[i] == 0 ? layers[i].first_column_bits : layers[i].column_bits;
    if (cost > left) continue;  // and never fits again: what is left only shrinks
    left -= cost;
    ++columns[i];
    claim(i);
  }
  return columns;
}

std::vector<Index> paper_budget(double target_bits, int bits, std::span<const BudgetLayer> layers) {
  check(target_bits, layers);
  require(static_cast<double>(bits) == std::floor(target_bits), Status::InvalidArgument, "target_bits: ", target_bits,
          " bits per weight with codes of ", bits, " bits, wanted ", std::floor(target_bits),
          " bits: the paper's rule takes the whole part of the target");
  Index sharing = 0;
  for (const BudgetLayer& layer : layers) sharing += layer.share > 0 ? 1 : 0;
  std::vector<Index> columns;
  for (const BudgetLayer& layer : layers) {
    const double ratio =
        sharing == 0 || bits == 16 ? 0 : 12.0 / (16 - bits) * (target_bits - bits) / static_cast<double>(sharing);
    const double wanted = std::nearbyint(static_cast<double>(layer.cols) * ratio * layer.share);
    const Index most = layer.cols;
    const Index k = wanted >= static_cast<double>(most) ? most : static_cast<Index>(wanted);
    columns.push_back(std::min(most, k + k % 2));
  }
  return columns;
}

}  // namespace halftone
