// How the work of nn.hpp is cut: by rows, and for attention by windows and heads. The arithmetic is in leaf/.
#include "halftone/backend/nn.hpp"

#include <algorithm>  // copy
#include <cmath>

#include "nn_work.hpp"

namespace halftone {

using detail::for_rows, detail::require_parts, detail::require_same;

template <class S>
void rms_norm(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, Index groups, double epsilon,
              MatrixView<S> y) {
  require_same("rms_norm", x, y);
  require_parts("rms_norm", x.cols, groups);
  const auto kernel = context.kernels().template nn<S>().rms_norm;
  const Index width = x.cols / groups;
  for_rows(context, x.rows, x.cols, [&](Index row) {
    for (Index g = 0; g < groups; ++g)
      kernel(x.row(row) + g * width, weight, width, static_cast<S>(epsilon), y.row(row) + g * width);
  });
}

template <class S>
void layer_norm(const Context<Cpu>& context, MatrixView<const S> x, const S* weight, const S* bias, Index groups,
                double epsilon, MatrixView<S> y) {
  require_same("layer_norm", x, y);
  require_parts("layer_norm", x.cols, groups);
  const auto kernel = context.kernels().template nn<S>().layer_norm;
  const Index width = x.cols / groups;
  for_rows(context, x.rows, x.cols, [&](Index row) {
    for (Index g = 0; g < groups; ++g)
      kernel(x.row(row) + g * width, weight, bias, width, static_cast<S>(epsilon), y.row(row) + g * width);
  });
}

template <class S>
RotaryTable<S> rotary_table(MatrixView<const double> angles, RotaryPairs layout) {
  RotaryTable<S> table{Matrix<S>(angles.rows, angles.cols), Matrix<S>(angles.rows, angles.cols), layout};
  for (Index position = 0; position < angles.rows; ++position)
    for (Index i = 0; i < angles.cols; ++i) {
      table.cosine(position, i) = static_cast<S>(std::cos(angles(position, i)));
      table.sine(position, i) = static_cast<S>(std::sin(angles(position, i)));
    }
  return table;
}

template <class S>
RotaryTable<S> rotary_table(std::span<const double> frequencies, Index positions) {
  Matrix<double> angles(positions, static_cast<Index>(frequencies.size()));
  for (Index position = 0; position < positions; ++position)
    for (Index i = 0; i < angles.cols(); ++i)
      angles(position, i) = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
  return rotary_table<S>(angles, RotaryPairs::Halves);
}

template <class S>
void apply_rotary(const Context<Cpu>& context, MatrixView<const S> x, const RotaryTable<S>& table, Index heads,
                  Index length, MatrixView<S> y) {
  require_same("apply_rotary", x, y);
  detail::require_rotary("apply_rotary", x, table, heads, length);
  const Index head_dim = x.cols / heads, pairs = table.cosine.cols();
  const auto& kernels = context.kernels().template nn<S>();
  const auto kernel = table.layout == RotaryPairs::Adjacent ? kernels.rotate_adjacent : kernels.rotate;
  for_rows(context, x.rows, x.cols, [&](Index row) {
    const Index position = row % length;
    for (Index h = 0; h < heads; ++h) {
      const S* source = x.row(row) + h * head_dim;
      S* target = y.row(row) + h * head_dim;
      kernel(source, table.cosine.row(position), table.sine.row(position), pairs, target);
      if (target != source) std::copy(source + 2 * pairs, source + head_dim, target + 2 * pairs);
    }
  });
}

template <class S>
void attention(const Context<Cpu>& context, MatrixView<const S> q, MatrixView<const S> k, MatrixView<const S> v,
               const AttentionShape& shape, MatrixView<S> y) {
  require_same("attention", q, y);
  detail::require_attention("attention", q, k, v, shape);
  const Index head_dim = q.cols / shape.heads;
  const auto kernel = context.kernels().template nn<S>().attend;
  parallel_for(context.threads(), q.rows / shape.length * shape.heads, [&](Index unit) {
    const Index first = unit / shape.heads * shape.length, h = unit % shape.heads;
    const Index kv = h / (shape.heads / shape.kv_heads);
    auto scratch = context.template allocate<S>(1, detail::attention_scratch<S>(shape.length, head_dim));
    auto head = detail::attention_head<S>(q.block(first, h * head_dim, shape.length, head_dim),
                                          k.block(first, kv * head_dim, shape.length, head_dim),
                                          v.block(first, kv * head_dim, shape.length, head_dim), shape, scratch.data());
    head.y = y.row(first) + h * head_dim;
    head.y_stride = y.stride;
    kernel(head);
  });
}

template <class S>
void gate(const Context<Cpu>& context, Activation activation, MatrixView<const S> gate, MatrixView<const S> up,
          MatrixView<S> y) {
  require_same("gate", gate, up);
  require_same("gate", gate, y);
  const auto kernel = context.kernels().template nn<S>().activate;
  for_rows(context, y.rows, y.cols,
           [&](Index row) { kernel(activation, gate.row(row), up.row(row), y.cols, y.row(row)); });
}

template <class S>
void activate(const Context<Cpu>& context, Activation activation, MatrixView<const S> x, MatrixView<S> y) {
  require_same("activate", x, y);
  const auto kernel = context.kernels().template nn<S>().activate;
  for_rows(context, y.rows, y.cols, [&](Index row) { kernel(activation, x.row(row), nullptr, y.cols, y.row(row)); });
}

template <class S>
void add(const Context<Cpu>& context, MatrixView<const S> a, MatrixView<const S> b, MatrixView<S> y) {
  require_same("add", a, b);
  require_same("add", a, y);
  for_rows(context, y.rows, y.cols, [&](Index row) {
    const S *left = a.row(row), *right = b.row(row);
    S* sum = y.row(row);
    for (Index j = 0; j < y.cols; ++j) sum[j] = left[j] + right[j];
  });
}

template <class S>
void add_bias(const Context<Cpu>& context, const S* bias, MatrixView<S> y) {
  for_rows(context, y.rows, y.cols, [&](Index row) {
    S* sum = y.row(row);
    for (Index j = 0; j < y.cols; ++j) sum[j] += bias[j];
  });
}

template <class S>
void soft_cap(const Context<Cpu>& context, double cap, MatrixView<S> x) {
  require(cap > 0, Status::InvalidArgument, "soft_cap: cap is ", cap, ", wanted more than 0");
  const auto kernel = context.kernels().template nn<S>().soft_cap;
  for_rows(context, x.rows, x.cols, [&](Index row) { kernel(static_cast<S>(cap), x.row(row), x.cols); });
}

template <class S>
void summarize_logits(const Context<Cpu>& context, MatrixView<const S> x, LogitSummary* out) {
  require(x.cols > 0, Status::ShapeMismatch, "summarize_logits: got no columns, wanted 1 or more");
  const auto kernel = context.kernels().template nn<S>().log_sum_exp;
  for_rows(context, x.rows, x.cols,
           [&](Index row) { out[row].log_sum = kernel(x.row(row), x.cols, &out[row].largest); });
}

template <class S>
void divergence(const Context<Cpu>& context, MatrixView<const S> reference, const LogitSummary* reference_summary,
                MatrixView<const S> x, const LogitSummary* summary, double* out) {
  require_same("divergence", reference, x);
  const auto kernel = context.kernels().template nn<S>().divergence;
  for_rows(context, x.rows, x.cols, [&](Index row) {
    out[row] = kernel(reference.row(row), reference_summary[row].log_sum, x.row(row), summary[row].log_sum, x.cols);
  });
}

template <class S>
void target_logits(const Context<Cpu>&, MatrixView<const S> x, const std::int32_t* targets, S* out) {
  for (Index row = 0; row < x.rows; ++row) out[row] = x(row, targets[row]);
}

#define HALFTONE_INSTANTIATE(S)                                                                                    \
  template void rms_norm<S>(const Context<Cpu>&, MatrixView<const S>, const S*, Index, double, MatrixView<S>);     \
  template void layer_norm<S>(const Context<Cpu>&, MatrixView<const S>, const S*, const S*, Index, double,         \
                              MatrixView<S>);                                                                      \
  template RotaryTable<S> rotary_table<S>(MatrixView<const double>, RotaryPairs);                                  \
  template RotaryTable<S> rotary_table<S>(std::span<const double>, Index);                                         \
  template void apply_rotary<S>(const Context<Cpu>&, MatrixView<const S>, const RotaryTable<S>&, Index, Index,     \
                                MatrixView<S>);                                                                    \
  template void attention<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>, MatrixView<const S>,   \
                             const AttentionShape&, MatrixView<S>);                                                \
  template void gate<S>(const Context<Cpu>&, Activation, MatrixView<const S>, MatrixView<const S>, MatrixView<S>); \
  template void activate<S>(const Context<Cpu>&, Activation, MatrixView<const S>, MatrixView<S>);                  \
  template void add<S>(const Context<Cpu>&, MatrixView<const S>, MatrixView<const S>, MatrixView<S>);              \
  template void add_bias<S>(const Context<Cpu>&, const S*, MatrixView<S>);                                         \
  template void soft_cap<S>(const Context<Cpu>&, double, MatrixView<S>);                                           \
  template void summarize_logits<S>(const Context<Cpu>&, MatrixView<const S>, LogitSummary*);                      \
  template void divergence<S>(const Context<Cpu>&, MatrixView<const S>, const LogitSummary*, MatrixView<const S>,  \
                              const LogitSummary*, double*);                                                       \
  template void target_logits<S>(const Context<Cpu>&, MatrixView<const S>, const std::int32_t*, S*);
HALFTONE_INSTANTIATE(float)
HALFTONE_INSTANTIATE(double)
#undef HALFTONE_INSTANTIATE

}  // namespace halftone
