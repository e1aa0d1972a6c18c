// The order in which a solver takes the columns. order[position] = column.
#pragma once

#include <algorithm>  // stable_sort
#include <cstdint>
#include <numeric>  // iota
#include <vector>

#include "halftone/core/view.hpp"

namespace halftone {

/// 0, 1, 2, ...
inline std::vector<std::int32_t> natural_order(Index columns) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

/// By descending key (act-order: diag H), equal keys by column number.
inline std::vector<std::int32_t> descending_order(const std::vector<double>& keys) {
  std::vector<std::int32_t> order = natural_order(static_cast<Index>(keys.size()));
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return keys[static_cast<std::size_t>(a)] > keys[static_cast<std::size_t>(b)];
  });
  return order;
}

/// position[column] of an order.
inline std::vector<std::int32_t> inverse_order(const std::vector<std::int32_t>& order) {
  std::vector<std::int32_t> position(order.size());
  for (std::size_t p = 0; p < order.size(); ++p)
    position[static_cast<std::size_t>(order[p])] = static_cast<std::int32_t>(p);
  return position;
}

}  // namespace halftone
