// What nn.cpp and nn_backward.cpp share: how work is cut by rows, and what shapes are refused.
#pragma once

#include "halftone/backend/nn.hpp"
#include "halftone/backend/rows.hpp"

namespace halftone::detail {

/// Numbers that one unit of parallel work should touch: below that, handing it out costs more than doing it.
inline constexpr Index grain = 1 << 14;

/// Calls body(row) for every row of a matrix of `cols` columns.
template <class Body>
void for_rows(const Context<Cpu>& context, Index rows, Index cols, Body&& body) {
  each_row(context, rows, cols, body, grain);
}

template <class A, class B>
void require_same(const char* who, const MatrixView<A>& a, const MatrixView<B>& b) {
  require(a.rows == b.rows && a.cols == b.cols, Status::ShapeMismatch, who, ": got ", a.rows, " x ", a.cols, " and ",
          b.rows, " x ", b.cols, ", wanted equal shapes");
}

inline void require_parts(const char* who, Index cols, Index parts) {
  require(parts > 0 && cols % parts == 0, Status::ShapeMismatch, who, ": got ", cols, " columns, wanted ", parts,
          " equal parts of them");
}

inline void require_windows(const char* who, Index rows, Index length) {
  require(length > 0 && rows % length == 0, Status::ShapeMismatch, who, ": got ", rows,
          " tokens, wanted whole windows of ", length);
}

template <class S>
void require_attention(const char* who, MatrixView<const S> q, MatrixView<const S> k, MatrixView<const S> v,
                       const AttentionShape& shape) {
  require_same(who, k, v);
  require_parts(who, q.cols, shape.heads);
  require_windows(who, q.rows, shape.length);
  const Index head_dim = q.cols / shape.heads;
  require(shape.kv_heads > 0 && shape.heads % shape.kv_heads == 0 && k.cols == shape.kv_heads * head_dim &&
              k.rows == q.rows,
          Status::ShapeMismatch, who, ": keys are ", k.rows, " x ", k.cols, ", wanted ", q.rows, " x ", shape.kv_heads,
          " heads of ", head_dim, ", a divisor of ", shape.heads, " heads");
}

/// One query head, from the first token of its window on, without its output. q, k, v [length, head_dim].
template <class S>
AttentionHead<S> attention_head(MatrixView<const S> q, MatrixView<const S> k, MatrixView<const S> v,
                                const AttentionShape& shape, S* scratch) {
  return {.q = q.data,
          .k = k.data,
          .v = v.data,
          .y = nullptr,
          .q_stride = q.stride,
          .k_stride = k.stride,
          .v_stride = v.stride,
          .y_stride = 0,
          .length = shape.length,
          .head_dim = q.cols,
          .scale = static_cast<S>(shape.scale),
          .soft_cap = static_cast<S>(shape.soft_cap),
          .causal = shape.causal,
          .window = shape.window,
          .scratch = scratch};
}

template <class S, class Backend>
void require_rotary(const char* who, MatrixView<const S> x, const RotaryTable<S, Backend>& table, Index heads,
                    Index length) {
  require_parts(who, x.cols, heads);
  require_windows(who, x.rows, length);
  const Index head_dim = x.cols / heads, pairs = table.cosine.cols();
  require(2 * pairs <= head_dim && table.cosine.rows() >= length, Status::ShapeMismatch, who, ": the table has ",
          table.cosine.rows(), " positions and ", pairs, " pairs, wanted ", length, " or more and at most ",
          head_dim / 2);
}

}  // namespace halftone::detail
