// Leaf kernels: norms, rotary embedding, activations, log-softmax.
#pragma once

#include "halftone/backend/leaf/lane_math.hpp"

namespace halftone::detail::HALFTONE_LEAF {

/// Σ (x − shift)² and Σ x over the first `width` numbers.
template <class S>
HALFTONE_INLINE S sum_of_squares(const S* x, Index width, S shift) {
  using L = Lanes<S>;
  L sum(S(0));
  for (Index i = 0; i < width; i += L::count) {
    const L deviation = load_some(x + i, width - i, shift) - L(shift);
    sum = multiply_add(deviation, deviation, sum);
  }
  return lane_sum(sum);
}
template <class S>
HALFTONE_INLINE S sum_of(const S* x, Index width) {
  Lanes<S> sum(S(0));
  for (Index i = 0; i < width; i += Lanes<S>::count) sum = sum + load_some(x + i, width - i);
  return lane_sum(sum);
}

template <class S>
HALFTONE_INLINE S inverse_root(S x) {
  return S(1) / static_cast<S>(__builtin_sqrt(static_cast<double>(x)));
}

template <class S>
void rms_norm(const S* x, const S* weight, Index width, S epsilon, S* y) {
  using L = Lanes<S>;
  const L scale(inverse_root(sum_of_squares(x, width, S(0)) / S(width) + epsilon));
  for (Index i = 0; i < width; i += L::count)
    store_some(load_some(x + i, width - i) * scale * load_some(weight + i, width - i), y + i, width - i);
}

template <class S>
void layer_norm(const S* x, const S* weight, const S* bias, Index width, S epsilon, S* y) {
  using L = Lanes<S>;
  const S mean = sum_of(x, width) / S(width);
  const L scale(inverse_root(sum_of_squares(x, width, mean) / S(width) + epsilon));
  for (Index i = 0; i < width; i += L::count) {
    const L unit = (load_some(x + i, width - i) - L(mean)) * scale;
    const L shift = bias ? load_some(bias + i, width - i) : L(S(0));
    store_some(multiply_add(unit, load_some(weight + i, width - i), shift), y + i, width - i);
  }
}

template <class S>
void rotate(const S* x, const S* cosine, const S* sine, Index pairs, S* y) {
  using L = Lanes<S>;
  for (Index i = 0; i < pairs; i += L::count) {
    const Index left = pairs - i;
    const L a = load_some(x + i, left), b = load_some(x + pairs + i, left);
    const L c = load_some(cosine + i, left), s = load_some(sine + i, left);
    store_some(a * c - b * s, y + i, left);
    store_some(b * c + a * s, y + pairs + i, left);
  }
}

template <class S>
void rotate_adjacent(const S* x, const S* cosine, const S* sine, Index pairs, S* y) {
  for (Index i = 0; i < pairs; ++i) {
    const S a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cosine[i] - b * sine[i];
    y[2 * i + 1] = b * cosine[i] + a * sine[i];
  }
}

/// Silu and GeluTanh are x·σ(u): u = x, and u = 2√(2/π)(x + 0.044715x³) since 1 + tanh u/2 = 2σ(u).
template <class S>
HALFTONE_INLINE Lanes<S> activated(Activation activation, const Lanes<S>& x) {
  using L = Lanes<S>;
  switch (activation) {
    case Activation::Relu: return larger(L(S(0)), x);
    case Activation::Silu: return x / (L(S(1)) + exp(L(S(0)) - x));
    case Activation::GeluTanh: {
      const L u = x * multiply_add(x * x, L(S(1.5957691216057308 * 0.044715)), L(S(1.5957691216057308)));
      return x / (L(S(1)) + exp(L(S(0)) - u));
    }
    case Activation::Gelu: break;
  }
  S numbers[L::count];  // erf is the C library's: exact, not fast
  x.store(numbers);
  for (S& number : numbers) number *= S(0.5) * (S(1) + S(__builtin_erf(double(number) * 0.70710678118654752)));
  return L::load(numbers);
}

template <class S>
void activate(Activation activation, const S* x, const S* up, Index count, S* y) {
  using L = Lanes<S>;
  for (Index i = 0; i < count; i += L::count) {
    const Index left = count - i;
    const L value = activated(activation, load_some(x + i, left));
    store_some(up ? value * load_some(up + i, left) : value, y + i, left);
  }
}

/// cap · tanh(x / cap), as cap · (1 − t) / (1 + t) with t = exp(−2x / cap). Absolute error about cap roundings.
template <class S>
HALFTONE_INLINE Lanes<S> capped(const Lanes<S>& x, S cap) {
  using L = Lanes<S>;
  const L t = exp(x * L(S(-2) / cap));
  return L(cap) * ((L(S(1)) - t) / (L(S(1)) + t));
}

template <class S>
void soft_cap(S cap, S* x, Index count) {
  for (Index i = 0; i < count; i += Lanes<S>::count)
    store_some(capped(load_some(x + i, count - i), cap), x + i, count - i);
}

/// Sum of the lanes of `sums`, in order.
template <class S>
HALFTONE_INLINE double total(const double (&sums)[lane_count<S>]) {
  double sum = 0;
  for (double lane : sums) sum += lane;
  return sum;
}

template <class S>
double log_sum_exp(const S* x, Index count, Index* largest) {
  using L = Lanes<S>;
  Index top = 0;
  for (Index i = 1; i < count; ++i)
    if (x[i] > x[top]) top = i;
  *largest = top;
  double sums[L::count] = {};
  for (Index i = 0; i < count; i += L::count) {
    S terms[L::count];
    exp(load_some(x + i, count - i, -S(__builtin_inf())) - L(x[top])).store(terms);
    for (Index lane = 0; lane < L::count; ++lane) sums[lane] += double(terms[lane]);
  }
  return double(x[top]) + __builtin_log(total<S>(sums));
}

template <class S>
double divergence(const S* x, double x_log_sum, const S* z, double z_log_sum, Index count) {
  using L = Lanes<S>;
  const double shift = z_log_sum - x_log_sum;
  double sums[L::count] = {};
  for (Index i = 0; i < count; i += L::count) {
    const Index left = count - i;
    S p[L::count], a[L::count], b[L::count];
    const L lanes = load_some(x + i, left, S(x_log_sum));
    exp(lanes - L(S(x_log_sum))).store(p);
    lanes.store(a);
    load_some(z + i, left, S(z_log_sum)).store(b);
    for (Index lane = 0; lane < L::count; ++lane)
      sums[lane] += lane < left ? double(p[lane]) * (double(a[lane]) - double(b[lane]) + shift) : 0;
  }
  return total<S>(sums);
}

}  // namespace halftone::detail::HALFTONE_LEAF
