// What the kernels of attention share: who sees whom, scores, and rows spread over the lanes of a team.
#pragma once

#include <cmath>

#include "halftone/backend/nn.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

constexpr Index most_channels = 256;

/// Tokens of a window.
struct TokenRange {
  Index first, end;
};

HALFTONE_HOST_DEVICE bool visible(const AttentionShape& shape, Index query, Index key) {
  if (shape.causal) return key <= query && (shape.window == 0 || key > query - shape.window);
  const Index apart = key > query ? key - query : query - key;
  return shape.window == 0 || apart < shape.window;
}

/// Keys that any of the queries [first, first + count) sees.
HALFTONE_HOST_DEVICE TokenRange keys_of(const AttentionShape& shape, Index first, Index count) {
  TokenRange keys{0, shape.length};
  if (shape.window > 0 && first >= shape.window) keys.first = first - shape.window + 1;
  if (shape.causal)
    keys.end = first + count;
  else if (shape.window > 0 && first + count - 1 + shape.window < keys.end)
    keys.end = first + count - 1 + shape.window;
  return keys;
}

/// Queries that see any of the keys [first, first + count).
HALFTONE_HOST_DEVICE TokenRange queries_of(const AttentionShape& shape, Index first, Index count) {
  TokenRange queries{0, shape.length};
  if (shape.causal)
    queries.first = first;
  else if (shape.window > 0 && first >= shape.window)
    queries.first = first - shape.window + 1;
  if (shape.window > 0 && first + count - 1 + shape.window < queries.end)
    queries.end = first + count - 1 + shape.window;
  return queries;
}

/// z = cap(scale · q·k).
template <class S>
HALFTONE_HOST_DEVICE S attention_score(const AttentionShape& shape, S product) {
  const S score = product * static_cast<S>(shape.scale);
  if (!(shape.soft_cap > 0)) return score;
  const S cap = static_cast<S>(shape.soft_cap);
  return cap * std::tanh(score / cap);
}
/// cap'(scale · q·k), from z: 1 − tanh².
template <class S>
HALFTONE_HOST_DEVICE S attention_slope(const AttentionShape& shape, S z) {
  if (!(shape.soft_cap > 0)) return S(1);
  const S t = z / static_cast<S>(shape.soft_cap);
  return S(1) - t * t;
}

/// Channel c of `row` in lane c mod 32 as slot first + c / 32; beyond head_dim 0.
template <class S, int Slots, class Lanes>
HALFTONE_HOST_DEVICE void load_channels(const S* row, Index head_dim, int lane, int first, Lanes& lanes) {
  HALFTONE_UNROLL
  for (int s = 0; s < Slots; ++s) {
    const Index c = s * 32 + lane;
    lanes(first + s, lane) = c < head_dim ? row[c] : S(0);
  }
}

}  // namespace
}  // namespace halftone
