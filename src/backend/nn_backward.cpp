// How the work of nn_backward.hpp is cut: by rows, and for attention by windows and key heads. The arithmetic is in
// leaf/.
#include "halftone/backend/nn_backward.hpp"

#include <algorithm>  // copy_n, fill_n, min
#include <vector>

#include "nn_work.hpp"

namespace halftone {

using detail::for_rows, detail::require_parts, detail::require_same;

namespace {

/// dx (+)= dy of one row.
template <class S>
void pass_on(const S* dy, Index count, bool add, S* dx) {
  if (!add)
    std::copy_n(dy, count, dx);
  else
    for (Index j = 0; j < count; ++j) dx[j] += dy[j];
}

/// kernel(x, weight, dy, width, epsilon, add, dx) on every run of columns of every row.
template <class S, class Kernel>
void norm_backward(const char* who, const Context<Cpu>& context, Kernel kernel, MatrixView<const S> x, const S* weight,
                   Index groups, double epsilon, MatrixView<const S> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same(who, x, dy);
  require_same(who, x, dx.to);
  require_parts(who, x.cols, groups);
  const Index width = x.cols / groups;
  for_rows(context, x.rows, x.cols, [&](Index row) {
    for (Index first = 0; first < x.cols; first += width)
      kernel(x.row(row) + first, weight, dy.row(row) + first, width, static_cast<S>(epsilon), dx.add,
             dx.to.row(row) + first);
  });
}

template <class S>
void require_gradient(const char* who, MatrixView<const S> x, const Gradient<S>& dx) {
  if (dx.wanted()) require_same(who, x, dx.to);
}

}  // namespace

template <class S>
void rms_norm_backward(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups,
                       double epsilon, MatrixView<const S> dy, Gradient<S> dx) {
  const auto kernel = context.kernels().template nn_backward<S>().rms_norm;
  norm_backward("rms_norm_backward", context, kernel, x, weight, groups, epsilon, dy, dx);
}

template <class S>
void layer_norm_backward(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups,
                         double epsilon, MatrixView<const S> dy, Gradient<S> dx) {
  const auto kernel = context.kernels().template nn_backward<S>().layer_norm;
  norm_backward("layer_norm_backward", context, kernel, x, weight, groups, epsilon, dy, dx);
}

template <class S>
void rotary_backward(const Context<Cpu>& context, MatrixView<const S> dy, const RotaryTable<S>& table, Index heads,
                     Index length, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("rotary_backward", dy, dx.to);
  detail::require_rotary("rotary_backward", dy, table, heads, length);
  const Index head_dim = dy.cols / heads, pairs = table.cosine.cols();
  const auto& kernels = context.kernels().template nn_backward<S>();
  const auto kernel = table.layout == RotaryPairs::Adjacent ? kernels.rotate_adjacent : kernels.rotate;
  for_rows(context, dy.rows, dy.cols, [&](Index row) {
    const Index position = row % length;
    for (Index first = 0; first < dy.cols; first += head_dim) {
      const S* source = dy.row(row) + first;
      S* target = dx.to.row(row) + first;
      kernel(source, table.cosine.row(position), table.sine.row(position), pairs, dx.add, target);
      pass_on(source + 2 * pairs, head_dim - 2 * pairs, dx.add, target + 2 * pairs);
    }
  });
}

template <class S>
void attention_backward(const Context<Cpu>& context, MatrixView<const S> q, MatrixView<const S> k,
                        MatrixView<const S> v, const AttentionShape& shape, MatrixView<const S> dy, Gradient<S> dq,
                        Gradient<S> dk, Gradient<S> dv) {
  constexpr const char* who = "attention_backward";
  require_same(who, q, dy);
  detail::require_attention(who, q, k, v, shape);
  require_gradient(who, q, dq);
  require_gradient(who, k, dk);
  require_gradient(who, v, dv);
  const Index head_dim = q.cols / shape.heads, group = shape.heads / shape.kv_heads;
  const auto kernel = context.kernels().template nn_backward<S>().attend;
  parallel_for(context.threads(), q.rows / shape.length * shape.kv_heads, [&](Index unit) {
    const Index row = unit / shape.kv_heads * shape.length, key = unit % shape.kv_heads * head_dim, query = key * group;
    const auto at = [row](const Gradient<S>& gradient, Index column) {
      return gradient.wanted() ? &gradient.to(row, column) : nullptr;
    };
    auto scratch = context.template allocate<S>(1, detail::attention_gradient_scratch<S>(shape.length, head_dim));
    kernel({.head = detail::attention_head<S>(q.block(row, query, shape.length, head_dim),
                                              k.block(row, key, shape.length, head_dim),
                                              v.block(row, key, shape.length, head_dim), shape, scratch.data()),
            .group = group,
            .dy = &dy(row, query),
            .dq = at(dq, query),
            .dk = at(dk, key),
            .dv = at(dv, key),
            .dy_stride = dy.stride,
            .dq_stride = dq.to.stride,
            .dk_stride = dk.to.stride,
            .dv_stride = dv.to.stride,
            .add_q = dq.add,
            .add_k = dk.add,
            .add_v = dv.add});
  });
}

template <class S>
Index attention_backward_bytes(const Context<Cpu>& context, const AttentionShape& shape, Index head_dim, Index tokens) {
  const Index units = std::min<Index>(context.threads(), tokens / shape.length * shape.kv_heads);
  return units * detail::attention_gradient_scratch<S>(shape.length, head_dim) * static_cast<Index>(sizeof(S));
}

template <class S>
void gate_backward(const Context<Cpu>& context, Activation activation, MatrixView<const S> gate, MatrixView<const S> up,
                   MatrixView<const S> dy, Gradient<S> dgate, Gradient<S> dup) {
  require_same("gate_backward", gate, up);
  require_same("gate_backward", gate, dy);
  require_gradient("gate_backward", gate, dgate);
  require_gradient("gate_backward", gate, dup);
  const auto kernel = context.kernels().template nn_backward<S>().activate;
  for_rows(context, dy.rows, dy.cols, [&](Index row) {
    kernel(activation, gate.row(row), up.row(row), dy.row(row), dy.cols, dgate.add,
           dgate.wanted() ? dgate.to.row(row) : nullptr, dup.add, dup.wanted() ? dup.to.row(row) : nullptr);
  });
}

template <class S>
void activate_backward(const Context<Cpu>& context, Activation activation, MatrixView<const S> x,
                       MatrixView<const S> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("activate_backward", x, dy);
  require_same("activate_backward", x, dx.to);
  const auto kernel = context.kernels().template nn_backward<S>().activate;
  for_rows(context, dy.rows, dy.cols, [&](Index row) {
    kernel(activation, x.row(row), nullptr, dy.row(row), dy.cols, dx.add, dx.to.row(row), false, nullptr);
  });
}

template <class S>
void add_backward(const Context<Cpu>& context, MatrixView<const S> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("add_backward", dy, dx.to);
  for_rows(context, dy.rows, dy.cols, [&](Index row) { pass_on(dy.row(row), dy.cols, dx.add, dx.to.row(row)); });
}

template <class S>
double squared_error(const Context<Cpu>& context, MatrixView<const S> y, MatrixView<const S> target,
                     const ErrorWeights<S>& weights, double factor, MatrixView<S> dy) {
  require_same("squared_error", y, target);
  if (dy.data != nullptr) require_same("squared_error", y, dy);
  const auto kernel = context.kernels().template nn_backward<S>().squared_error;
  std::vector<double> errors(static_cast<std::size_t>(y.rows), 0.0);
  for_rows(context, y.rows, y.cols, [&](Index row) {
    const double weight = factor * (weights.tokens ? static_cast<double>(weights.tokens[row]) : 1.0);
    S* gradient = dy.data != nullptr ? dy.row(row) : nullptr;
    if (weight != 0)
      errors[static_cast<std::size_t>(row)] =
          weight * kernel(y.row(row), target.row(row), weights.channels, static_cast<S>(2 * weight), y.cols, gradient);
    else if (gradient)
      std::fill_n(gradient, y.cols, S(0));
  });
  double sum = 0;
  for (const double error : errors) sum += error;
  return sum;
}

#define HALFTONE_INSTANTIATE(S)                                                                                     \
  template void rms_norm_backward<S>(const Context<Cpu>&, MatrixView<const S>, const S*, Index, double,             \
                                     MatrixView<const S>, Gradient<S>);                                             \
  template void layer_norm_backward<S>(const Context<Cpu>&, MatrixView<const S>, const S*, Index, double,           \
                                       MatrixView<const S>, Gradient<S>);                                           \
  template void rotary_backward<S>(const Context<Cpu>&, MatrixView<const S>, const RotaryTable<S>&, Index, Index,   \
                                   Gradient<S>);                                                                    \
  template void attention_backward<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>,                \
                                      MatrixView<const S>, const AttentionShape&, MatrixView<const S>, Gradient<S>, \
                                      Gradient<S>, Gradient<S>);                                                    \
  template Index attention_backward_bytes<S>(const Context<Cpu>&, const AttentionShape&, Index, Index);             \
  template void gate_backward<S>(const Context<Cpu>&, Activation, MatrixView<const S>, MatrixView<const S>,         \
                                 MatrixView<const S>, Gradient<S>, Gradient<S>);                                    \
  template void activate_backward<S>(const Context<Cpu>&, Activation, MatrixView<const S>, MatrixView<const S>,     \
                                     Gradient<S>);                                                                  \
  template void add_backward<S>(const Context<Cpu>&, MatrixView<const S>, Gradient<S>);                             \
  template double squared_error<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>,                   \
                                   const ErrorWeights<S>&, double, MatrixView<S>);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
