// Gradients of norms, rotary embedding, activations and sums, and the squared error (nn_backward.hpp) on the device:
// each reads its inputs and writes its gradients once (norms read twice), and is bound by those bytes.
#include <utility>  // as_const

#include "activation.cuh"
#include "backend/nn_work.hpp"
#include "halftone/backend/cuda_nn_backward.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// Stores a gradient, or adds it to what is there.
template <class S>
HALFTONE_HOST_DEVICE void put(S gradient, bool add, S& target) {
  target = add ? target + gradient : gradient;
}

/// One run of a row. With c = x − mean x (rms_norm: x), r = (mean c² + ε)^(−1/2) and u = weight · dy:
/// dx = r (u − mean u − c r² mean(u c)), without mean u for rms_norm.
template <class S, bool Centred>
struct NormGradient {
  static constexpr int lanes = 32;
  MatrixView<const S> x, dy;
  const S* weight;
  Index groups;
  S epsilon;
  bool add;
  MatrixView<S> dx;

  /// Unit of work: row · groups + run.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index width = x.cols / groups, first = unit % groups * width, row = unit / groups;
    const S *const in = x.row(row) + first, *const slope = dy.row(row) + first;
    S* const out = dx.row(row) + first;
    const auto plus = [](S a, S b) { return a + b; };
    enum { squares, products, slopes, sums };
    typename T::template Lanes<S, sums> sum;
    S mean = 0;
    if (Centred) {
      team.each_lane([&](int lane) {
        sum(0, lane) = 0;
        for (Index j = lane; j < width; j += lanes) sum(0, lane) += in[j];
      });
      mean = team.fold(sum, 0, plus) / static_cast<S>(width);
    }
    team.each_lane([&](int lane) {
      sum(squares, lane) = sum(products, lane) = sum(slopes, lane) = 0;
      for (Index j = lane; j < width; j += lanes) {
        const S c = in[j] - mean, u = weight[j] * slope[j];
        sum(squares, lane) += c * c;
        sum(products, lane) += u * c;
        sum(slopes, lane) += u;
      }
    });
    const S r = S(1) / std::sqrt(team.fold(sum, squares, plus) / static_cast<S>(width) + epsilon);
    const S pull = -(r * r) * (r * (team.fold(sum, products, plus) / static_cast<S>(width)));
    const S middle = Centred ? team.fold(sum, slopes, plus) / static_cast<S>(width) : S(0);
    team.each_lane([&](int lane) {
      for (Index j = lane; j < width; j += lanes)
        put((in[j] - mean) * pull + (weight[j] * slope[j] - middle) * r, add, out[j]);
    });
  }
};

/// Element i of a head: pair i for i < pairs, turned by the opposite angle, then the channels that stay.
template <class S>
struct RotateBack {
  MatrixView<const S> dy, cosine, sine;
  bool adjacent;
  Index heads, length;
  bool add;
  MatrixView<S> dx;

  HALFTONE_HOST_DEVICE void operator()(Index row, Index element) const {
    const Index head_dim = dy.cols / heads, pairs = cosine.cols, per_head = head_dim - pairs;
    const Index head = element / per_head, i = element % per_head, position = row % length;
    const S* const in = dy.row(row) + head * head_dim;
    S* const out = dx.row(row) + head * head_dim;
    if (i >= pairs) return put(in[pairs + i], add, out[pairs + i]);
    const Index first = adjacent ? 2 * i : i, second = adjacent ? 2 * i + 1 : i + pairs;
    const S a = in[first], b = in[second], c = cosine(position, i), s = sine(position, i);
    put(a * c + b * s, add, out[first]);
    put(b * c - a * s, add, out[second]);
  }
};

/// dx = dy · up · act'(x) and dup = dy · act(x); up without data: 1, and no dup.
template <class S>
struct ActivationGradient {
  Activation activation;
  MatrixView<const S> x, up, dy;
  Gradient<S> dx, dup;

  HALFTONE_HOST_DEVICE void operator()(Index row, Index j) const {
    const S input = x(row, j), slope = dy(row, j), factor = up.data != nullptr ? up(row, j) : S(1);
    if (dx.to.data != nullptr) put(slope * activation_slope(activation, input) * factor, dx.add, dx.to(row, j));
    if (dup.to.data != nullptr) put(slope * activated(activation, input), dup.add, dup.to(row, j));
  }
};

/// Rows of a squared error.
template <class S>
struct RowErrors {
  static constexpr int lanes = 32;
  MatrixView<const S> y, target;
  ErrorWeights<S> weights;
  double factor;
  MatrixView<S> dy;
  double* errors;

  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index row) const {
    const double weight = factor * (weights.tokens != nullptr ? static_cast<double>(weights.tokens[row]) : 1.0);
    const S slope = static_cast<S>(2 * weight);
    const double sum = team_sum(team, y.cols, [&](Index j) {
      const S error = weight != 0 ? y(row, j) - target(row, j) : S(0);
      const S weighted = weights.channels != nullptr ? error * weights.channels[j] : error;
      if (dy.data != nullptr) dy(row, j) = weight != 0 ? weighted * slope : S(0);
      return weight != 0 ? static_cast<double>(error) * static_cast<double>(weighted) : 0.0;
    });
    team.each_lane([&](int lane) {
      if (lane == 0) errors[row] = weight * sum;
    });
  }
};

/// One dx of norms, by the kernel that has a mean or the one without.
template <class S, bool Centred>
void norm_backward(const char* who, const Context<Cuda>& context, MatrixView<const S> x, const S* weight, Index groups,
                   double epsilon, MatrixView<const S> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  detail::require_same(who, x, dy);
  detail::require_same(who, x, dx.to);
  detail::require_parts(who, x.cols, groups);
  each_row(context, x.rows * groups,
           NormGradient<S, Centred>{x, dy, weight, groups, static_cast<S>(epsilon), dx.add, dx.to});
}

}  // namespace

using detail::require_same;

template <class S>
void rms_norm_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> x, const S* weight,
                       Index groups, double epsilon, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx) {
  norm_backward<S, false>("rms_norm_backward", context, x, weight, groups, epsilon, dy, dx);
}

template <class S>
void layer_norm_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> x, const S* weight,
                         Index groups, double epsilon, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx) {
  norm_backward<S, true>("layer_norm_backward", context, x, weight, groups, epsilon, dy, dx);
}

template <class S>
void rotary_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> dy,
                     const RotaryTable<S, Cuda>& table, Index heads, Index length, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("rotary_backward", dy, dx.to);
  detail::require_rotary("rotary_backward", dy, table, heads, length);
  each_element(context, dy.rows, heads * (dy.cols / heads - table.cosine.cols()),
               RotateBack<S>{dy, table.cosine.view(), table.sine.view(), table.layout == RotaryPairs::Adjacent, heads,
                             length, dx.add, dx.to});
}

template <class S>
void gate_backward(const Context<Cuda>& context, Activation activation, std::type_identity_t<MatrixView<const S>> gate,
                   std::type_identity_t<MatrixView<const S>> up, std::type_identity_t<MatrixView<const S>> dy,
                   Gradient<S> dgate, Gradient<S> dup) {
  constexpr const char* who = "gate_backward";
  require_same(who, gate, up);
  require_same(who, gate, dy);
  if (dgate.wanted()) require_same(who, gate, dgate.to);
  if (dup.wanted()) require_same(who, gate, dup.to);
  each_element(context, dy.rows, dy.cols, ActivationGradient<S>{activation, gate, up, dy, dgate, dup});
}

template <class S>
void activate_backward(const Context<Cuda>& context, Activation activation, std::type_identity_t<MatrixView<const S>> x,
                       std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("activate_backward", x, dy);
  require_same("activate_backward", x, dx.to);
  each_element(context, dy.rows, dy.cols, ActivationGradient<S>{activation, x, {}, dy, dx, {}});
}

template <class S>
void add_backward(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> dy, Gradient<S> dx) {
  if (!dx.wanted()) return;
  require_same("add_backward", dy, dx.to);
  each_element(
      context, dy.rows, dy.cols, HALFTONE_LAMBDA(Index r, Index j) { put(dy(r, j), dx.add, dx.to(r, j)); });
}

template <class S>
double squared_error(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> y,
                     std::type_identity_t<MatrixView<const S>> target, const ErrorWeights<S>& weights, double factor,
                     std::type_identity_t<MatrixView<S>> dy) {
  require_same("squared_error", y, target);
  if (dy.data != nullptr) require_same("squared_error", y, dy);
  auto errors = context.allocate<double>(1, y.rows);
  each_row(context, y.rows, RowErrors<S>{y, target, weights, factor, dy, errors.data()});
  const Matrix<double> rows = context.download(std::as_const(errors).view());
  double sum = 0;
  for (Index row = 0; row < rows.size(); ++row) sum += rows.data()[row];
  return sum;
}

template void rms_norm_backward<float>(const Context<Cuda>&, MatrixView<const float>, const float*, Index, double,
                                       MatrixView<const float>, Gradient<float>);
template void layer_norm_backward<float>(const Context<Cuda>&, MatrixView<const float>, const float*, Index, double,
                                         MatrixView<const float>, Gradient<float>);
template void rotary_backward<float>(const Context<Cuda>&, MatrixView<const float>, const RotaryTable<float, Cuda>&,
                                     Index, Index, Gradient<float>);
template void gate_backward<float>(const Context<Cuda>&, Activation, MatrixView<const float>, MatrixView<const float>,
                                   MatrixView<const float>, Gradient<float>, Gradient<float>);
template void activate_backward<float>(const Context<Cuda>&, Activation, MatrixView<const float>,
                                       MatrixView<const float>, Gradient<float>);
template void add_backward<float>(const Context<Cuda>&, MatrixView<const float>, Gradient<float>);
template double squared_error<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>,
                                     const ErrorWeights<float>&, double, MatrixView<float>);

}  // namespace halftone
