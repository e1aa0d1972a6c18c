// Norms, rotary embedding and activations (nn.hpp) on the device: each reads its inputs and writes its output once, and
// is bound by those bytes.
#include <cmath>

#include "activation.cuh"
#include "backend/nn_work.hpp"
#include "halftone/backend/cuda_nn.hpp"
#include "launch.cuh"

namespace halftone {
namespace {

/// One run of a row: y = weight · (x − mean) / √(Σ (x − mean)² / width + ε) + bias; without a mean for rms_norm.
template <class S, bool Centred>
struct NormRun {
  static constexpr int lanes = 32;
  MatrixView<const S> x;
  const S *weight, *bias;
  Index groups;
  S epsilon;
  MatrixView<S> y;

  /// Unit of work: row · groups + run.
  template <class T>
  HALFTONE_HOST_DEVICE void operator()(const T& team, Index unit) const {
    const Index width = x.cols / groups, first = unit % groups * width, row = unit / groups;
    const S* const in = x.row(row) + first;
    S* const out = y.row(row) + first;
    const auto add = [](S a, S b) { return a + b; };
    typename T::template Lanes<S> sum;
    S mean = 0;
    if (Centred) {
      team.each_lane([&](int lane) {
        sum(0, lane) = 0;
        for (Index j = lane; j < width; j += lanes) sum(0, lane) += in[j];
      });
      mean = team.fold(sum, 0, add) / static_cast<S>(width);
    }
    team.each_lane([&](int lane) {
      sum(0, lane) = 0;
      for (Index j = lane; j < width; j += lanes) sum(0, lane) += (in[j] - mean) * (in[j] - mean);
    });
    const S factor = S(1) / std::sqrt(team.fold(sum, 0, add) / static_cast<S>(width) + epsilon);
    team.each_lane([&](int lane) {
      for (Index j = lane; j < width; j += lanes)
        out[j] = weight[j] * ((in[j] - mean) * factor) + (bias != nullptr ? bias[j] : S(0));
    });
  }
};

/// Element i of a head: pair i for i < pairs, then the channels that stay.
template <class S>
struct RotateElement {
  MatrixView<const S> x, cosine, sine;
  bool adjacent;
  Index heads, length;
  MatrixView<S> y;

  HALFTONE_HOST_DEVICE void operator()(Index row, Index element) const {
    const Index head_dim = x.cols / heads, pairs = cosine.cols, per_head = head_dim - pairs;
    const Index head = element / per_head, i = element % per_head, position = row % length;
    const S* const in = x.row(row) + head * head_dim;
    S* const out = y.row(row) + head * head_dim;
    if (i >= pairs) {
      out[pairs + i] = in[pairs + i];
      return;
    }
    const Index first = adjacent ? 2 * i : i, second = adjacent ? 2 * i + 1 : i + pairs;
    const S a = in[first], b = in[second], c = cosine(position, i), s = sine(position, i);
    out[first] = a * c - b * s;
    out[second] = b * c + a * s;
  }
};

}  // namespace

using detail::require_parts, detail::require_rotary, detail::require_same;

template <class S>
void rms_norm(const Context<Cuda>& context, MatrixView<const S> x, const S* weight, Index groups, double epsilon,
              std::type_identity_t<MatrixView<S>> y) {
  require_same("rms_norm", x, MatrixView<const S>(y));
  require_parts("rms_norm", x.cols, groups);
  each_row(context, x.rows * groups, NormRun<S, false>{x, weight, nullptr, groups, static_cast<S>(epsilon), y});
}

template <class S>
void layer_norm(const Context<Cuda>& context, MatrixView<const S> x, const S* weight, const S* bias, Index groups,
                double epsilon, std::type_identity_t<MatrixView<S>> y) {
  require_same("layer_norm", x, MatrixView<const S>(y));
  require_parts("layer_norm", x.cols, groups);
  each_row(context, x.rows * groups, NormRun<S, true>{x, weight, bias, groups, static_cast<S>(epsilon), y});
}

template <class S>
void apply_rotary(const Context<Cuda>& context, MatrixView<const S> x, const RotaryTable<S, Cuda>& table, Index heads,
                  Index length, std::type_identity_t<MatrixView<S>> y) {
  constexpr const char* who = "apply_rotary";
  require_same(who, x, MatrixView<const S>(y));
  require_rotary(who, x, table, heads, length);
  each_element(context, x.rows, heads * (x.cols / heads - table.cosine.cols()),
               RotateElement<S>{x, table.cosine.view(), table.sine.view(), table.layout == RotaryPairs::Adjacent, heads,
                                length, y});
}

template <class S>
void gate(const Context<Cuda>& context, Activation activation, MatrixView<const S> gate,
          std::type_identity_t<MatrixView<const S>> up, std::type_identity_t<MatrixView<S>> y) {
  require_same("gate", gate, up);
  require_same("gate", gate, MatrixView<const S>(y));
  each_element(
      context, y.rows, y.cols,
      HALFTONE_LAMBDA(Index r, Index j) { y(r, j) = activated(activation, gate(r, j)) * up(r, j); });
}

template <class S>
void activate(const Context<Cuda>& context, Activation activation, MatrixView<const S> x,
              std::type_identity_t<MatrixView<S>> y) {
  require_same("activate", x, MatrixView<const S>(y));
  each_element(
      context, y.rows, y.cols, HALFTONE_LAMBDA(Index r, Index j) { y(r, j) = activated(activation, x(r, j)); });
}

template <class S>
void add(const Context<Cuda>& context, MatrixView<const S> a, std::type_identity_t<MatrixView<const S>> b,
         std::type_identity_t<MatrixView<S>> y) {
  require_same("add", a, b);
  require_same("add", a, MatrixView<const S>(y));
  each_element(
      context, y.rows, y.cols, HALFTONE_LAMBDA(Index r, Index j) { y(r, j) = a(r, j) + b(r, j); });
}

template <class S>
void add_bias(const Context<Cuda>& context, const S* bias, MatrixView<S> y) {
  each_element(
      context, y.rows, y.cols, HALFTONE_LAMBDA(Index r, Index j) { y(r, j) += bias[j]; });
}

template <class S>
void soft_cap(const Context<Cuda>& context, double cap, MatrixView<S> x) {
  require(cap > 0, Status::InvalidArgument, "soft_cap: cap is ", cap, ", wanted more than 0");
  const S bound = static_cast<S>(cap);
  each_element(
      context, x.rows, x.cols, HALFTONE_LAMBDA(Index r, Index j) { x(r, j) = bound * std::tanh(x(r, j) / bound); });
}

template void rms_norm<float>(const Context<Cuda>&, MatrixView<const float>, const float*, Index, double,
                              MatrixView<float>);
template void layer_norm<float>(const Context<Cuda>&, MatrixView<const float>, const float*, const float*, Index,
                                double, MatrixView<float>);
template void apply_rotary<float>(const Context<Cuda>&, MatrixView<const float>, const RotaryTable<float, Cuda>&, Index,
                                  Index, MatrixView<float>);
template void gate<float>(const Context<Cuda>&, Activation, MatrixView<const float>, MatrixView<const float>,
                          MatrixView<float>);
template void activate<float>(const Context<Cuda>&, Activation, MatrixView<const float>, MatrixView<float>);
template void add<float>(const Context<Cuda>&, MatrixView<const float>, MatrixView<const float>, MatrixView<float>);
template void add_bias<float>(const Context<Cuda>&, const float*, MatrixView<float>);
template void soft_cap<float>(const Context<Cuda>&, double, MatrixView<float>);

}  // namespace halftone
