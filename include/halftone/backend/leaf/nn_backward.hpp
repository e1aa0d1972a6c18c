// Leaf kernels: gradients of norms, rotary embedding and activations, and the squared error. A row is read twice by the
// norms, once by the rest; about 10 flops a number, 30 where there is an exponential.
#pragma once

#include "halftone/backend/leaf/nn.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Stores a gradient, or adds it to what is there.
template <class S>
HALFTONE_INLINE void put(const Lanes<S>& gradient, bool add, S* target, Index left) {
  store_some(add ? load_some(target, left) + gradient : gradient, target, left);
}

/// With r = (mean x² + ε)^(−1/2) and u = weight · dy:  dx = r (u − x r² mean(u x)).
template <class S>
void rms_norm_backward(const S* x, const S* weight, const S* dy, Index width, S epsilon, bool add, S* dx) {
  using L = Lanes<S>;
  L products(S(0));
  for (Index i = 0; i < width; i += L::count) {
    const Index left = width - i;
    products = multiply_add(load_some(weight + i, left) * load_some(dy + i, left), load_some(x + i, left), products);
  }
  const S r = inverse_root(sum_of_squares(x, width, S(0)) / S(width) + epsilon);
  const L scale(r), pull(-(r * r) * (r * (lane_sum(products) / S(width))));
  for (Index i = 0; i < width; i += L::count) {
    const Index left = width - i;
    const L u = load_some(weight + i, left) * load_some(dy + i, left);
    put(multiply_add(load_some(x + i, left), pull, u * scale), add, dx + i, left);
  }
}

/// With r = (var x + ε)^(−1/2), c = x − mean x and u = weight · dy:  dx = r (u − mean u − c r² mean(u c)).
template <class S>
void layer_norm_backward(const S* x, const S* weight, const S* dy, Index width, S epsilon, bool add, S* dx) {
  using L = Lanes<S>;
  const S mean = sum_of(x, width) / S(width);
  L products(S(0)), sums(S(0));
  for (Index i = 0; i < width; i += L::count) {
    const Index left = width - i;
    const L u = load_some(weight + i, left) * load_some(dy + i, left);
    products = multiply_add(u, load_some(x + i, left, mean) - L(mean), products);
    sums = sums + u;
  }
  const S r = inverse_root(sum_of_squares(x, width, mean) / S(width) + epsilon);
  const L scale(r), pull(-(r * r) * (r * (lane_sum(products) / S(width)))), middle(lane_sum(sums) / S(width));
  for (Index i = 0; i < width; i += L::count) {
    const Index left = width - i;
    const L u = load_some(weight + i, left) * load_some(dy + i, left);
    put(multiply_add(load_some(x + i, left) - L(mean), pull, (u - middle) * scale), add, dx + i, left);
  }
}

/// A rotation's transpose is the rotation by the opposite angle.
template <class S>
void rotate_backward(const S* dy, const S* cosine, const S* sine, Index pairs, bool add, S* dx) {
  using L = Lanes<S>;
  for (Index i = 0; i < pairs; i += L::count) {
    const Index left = pairs - i;
    const L a = load_some(dy + i, left), b = load_some(dy + pairs + i, left);
    const L c = load_some(cosine + i, left), s = load_some(sine + i, left);
    put(a * c + b * s, add, dx + i, left);
    put(b * c - a * s, add, dx + pairs + i, left);
  }
}

template <class S>
void rotate_adjacent_backward(const S* dy, const S* cosine, const S* sine, Index pairs, bool add, S* dx) {
  for (Index i = 0; i < pairs; ++i) {
    const S a = dy[2 * i], b = dy[2 * i + 1];
    const S even = a * cosine[i] + b * sine[i], odd = b * cosine[i] - a * sine[i];
    dx[2 * i] = add ? dx[2 * i] + even : even;
    dx[2 * i + 1] = add ? dx[2 * i + 1] + odd : odd;
  }
}

/// act'(x). Silu and GeluTanh are x·σ(u), with slope σ(u) (1 + x u' (1 − σ(u))); Gelu's is Φ(x) + x φ(x). Beyond ±80
/// the slopes are 0 and 1, and x is held there, so that nothing overflows.
template <class S>
HALFTONE_INLINE Lanes<S> activation_slope(Activation activation, const Lanes<S>& wide) {
  using L = Lanes<S>;
  const L x = smaller(L(S(80)), larger(L(S(-80)), wide)), one(S(1));
  const auto sigmoid = HALFTONE_REGISTERS(const L& u) { return one / (one + exp(L(S(0)) - u)); };
  switch (activation) {
    case Activation::Relu:
      return L::each(
          HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u > Vector<S>{} ? v : Vector<S>{}; }, x, one);
    case Activation::Silu: {
      const L s = sigmoid(x);
      return s * multiply_add(x, one - s, one);
    }
    case Activation::GeluTanh: {
      constexpr S linear = S(1.5957691216057308), cubic = S(1.5957691216057308 * 0.044715);
      const L s = sigmoid(x * multiply_add(x * x, L(cubic), L(linear)));
      const L du = multiply_add(x * x, L(3 * cubic), L(linear));
      return s * multiply_add(x * du, one - s, one);
    }
    case Activation::Gelu: break;
  }
  S below[L::count];  // erf is the C library's: exact, not fast
  x.store(below);
  for (S& number : below) number = S(0.5) * (S(1) + S(__builtin_erf(double(number) * 0.70710678118654752)));
  const L density = exp(x * x * L(S(-0.5))) * L(S(0.39894228040143268));
  return multiply_add(x, density, L::load(below));
}

template <class S>
void activate_backward(Activation activation, const S* x, const S* up, const S* dy, Index count, bool add_x, S* dx,
                       bool add_up, S* dup) {
  using L = Lanes<S>;
  for (Index i = 0; i < count; i += L::count) {
    const Index left = count - i;
    const L input = load_some(x + i, left), gradient = load_some(dy + i, left);
    if (dx) {
      const L through = gradient * activation_slope(activation, input);
      put(up ? through * load_some(up + i, left) : through, add_x, dx + i, left);
    }
    if (dup) put(gradient * activated(activation, input), add_up, dup + i, left);
  }
}

template <class S>
double squared_error(const S* y, const S* target, const S* weights, S slope, Index count, S* dy) {
  using L = Lanes<S>;
  double sums[L::count] = {};
  for (Index i = 0; i < count; i += L::count) {
    const Index left = count - i;
    const L error = load_some(y + i, left) - load_some(target + i, left);
    const L weighted = weights ? error * load_some(weights + i, left) : error;
    if (dy) store_some(weighted * L(slope), dy + i, left);
    S a[L::count], b[L::count];
    error.store(a);
    weighted.store(b);
    for (Index lane = 0; lane < L::count; ++lane) sums[lane] += double(a[lane]) * double(b[lane]);
  }
  return total<S>(sums);
}

}  // namespace halftone::detail::HALFTONE_LEAF
