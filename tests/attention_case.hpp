// Shapes of attention that both backends are tested with.
#pragma once

#include <cmath>

#include "halftone/backend/nn.hpp"

namespace halftone::test {

struct AttentionCase {
  Index length, heads, kv_heads, head_dim, window;
  bool causal;
  double soft_cap;

  AttentionShape shape() const {
    return {.length = length,
            .heads = heads,
            .kv_heads = kv_heads,
            .scale = 1 / std::sqrt(static_cast<double>(head_dim)),
            .soft_cap = soft_cap,
            .causal = causal,
            .window = window};
  }
  Index q_width() const { return heads * head_dim; }
  Index kv_width() const { return kv_heads * head_dim; }
  Index width() const { return q_width() + 2 * kv_width(); }
};

}  // namespace halftone::test
