// Leaf kernels: sixteen floats or eight doubles that go through the same arithmetic, 64 bytes whatever the processor's
// vectors are, so that sums over lanes have one order with every instruction set.
#pragma once

#include "halftone/backend/leaf/lanes.hpp"
#include "halftone/backend/nn_kernels.hpp"

namespace halftone::detail::HALFTONE_LEAF {

#define HALFTONE_INLINE inline __attribute__((always_inline))

template <class S>
struct IntegersOf {
  typedef long long type __attribute__((vector_size(vector_bytes)));
};
template <>
struct IntegersOf<float> {
  typedef int type __attribute__((vector_size(vector_bytes)));
};
/// A register of integers as wide as S.
template <class S>
using Integers = typename IntegersOf<S>::type;

/// Numbers in `bytes` bytes: two halves, down to what one register holds.
template <class S, int bytes = 64>
struct Lanes {
  using Half = Lanes<S, bytes / 2>;
  static constexpr Index count = bytes / static_cast<Index>(sizeof(S));
  Half low, high;

  Lanes() = default;
  HALFTONE_INLINE explicit Lanes(S value) : low(value), high(value) {}
  HALFTONE_INLINE Lanes(const Half& first, const Half& second) : low(first), high(second) {}
  HALFTONE_INLINE static Lanes load(const S* source) {
    return Lanes(Half::load(source), Half::load(source + Half::count));
  }
  HALFTONE_INLINE void store(S* target) const {
    low.store(target);
    high.store(target + Half::count);
  }
  /// operation(registers...) of every register.
  template <class Operation, class... Others>
  HALFTONE_INLINE static Lanes each(Operation operation, const Others&... lanes) {
    return Lanes(Half::each(operation, lanes.low...), Half::each(operation, lanes.high...));
  }
};

template <class S>
struct Lanes<S, vector_bytes> {
  static constexpr Index count = vector_lanes<S>;
  Vector<S> v;

  Lanes() = default;
  HALFTONE_INLINE explicit Lanes(S value) : v(value - Vector<S>{}) {}
  HALFTONE_INLINE static Lanes load(const S* source) {
    Lanes lanes;
    lanes.v = vector_at(source).v;
    return lanes;
  }
  HALFTONE_INLINE void store(S* target) const { vector_at(target).v = v; }
  template <class Operation, class... Others>
  HALFTONE_INLINE static Lanes each(Operation operation, const Others&... lanes) {
    Lanes result;
    operation(result.v, lanes.v...);
    return result;
  }
};

/// The first `left` numbers (all if there are as many), `rest` in the other lanes.
template <class S>
HALFTONE_INLINE Lanes<S> load_some(const S* source, Index left, S rest = S(0)) {
  constexpr Index count = Lanes<S>::count;
  if (left >= count) return Lanes<S>::load(source);
  S buffer[count];
  for (Index i = 0; i < count; ++i) buffer[i] = i < left ? source[i] : rest;
  return Lanes<S>::load(buffer);
}
/// Stores the first `left` numbers.
template <class S>
HALFTONE_INLINE void store_some(const Lanes<S>& lanes, S* target, Index left) {
  constexpr Index count = Lanes<S>::count;
  if (left >= count) return lanes.store(target);
  S buffer[count];
  lanes.store(buffer);
  for (Index i = 0; i < left; ++i) target[i] = buffer[i];
}

// An operation writes its first argument and reads the others, all registers. Lambdas must say that they are inlined.
#define HALFTONE_REGISTERS(...) [&](__VA_ARGS__) __attribute__((always_inline))

template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> operator+(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u + v; }, a, b);
}
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> operator-(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u - v; }, a, b);
}
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> operator*(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u * v; }, a, b);
}
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> operator/(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u / v; }, a, b);
}
/// a · b + c, in one rounding where the instruction set has it.
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> multiply_add(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b,
                                             const Lanes<S, bytes>& c) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v, const auto& w) { y = u * v + w; }, a, b, c);
}
/// a where a > b, b elsewhere: a NaN in b stays.
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> larger(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u > v ? u : v; }, a, b);
}
/// a where a < b, b elsewhere.
template <class S, int bytes>
HALFTONE_INLINE Lanes<S, bytes> smaller(const Lanes<S, bytes>& a, const Lanes<S, bytes>& b) {
  return a.each(
      HALFTONE_REGISTERS(auto& y, const auto& u, const auto& v) { y = u < v ? u : v; }, a, b);
}

/// combine(halves) on halves, down to one number.
template <class S, class Combine>
HALFTONE_INLINE S fold(const Lanes<S>& lanes, Combine combine) {
  S buffer[Lanes<S>::count];
  lanes.store(buffer);
  for (Index half = Lanes<S>::count / 2; half > 0; half /= 2)
    for (Index i = 0; i < half; ++i) buffer[i] = combine(buffer[i], buffer[i + half]);
  return buffer[0];
}
template <class S>
HALFTONE_INLINE S lane_sum(const Lanes<S>& lanes) {
  return fold(
      lanes, HALFTONE_REGISTERS(S a, S b) { return a + b; });
}
template <class S>
HALFTONE_INLINE S lane_largest(const Lanes<S>& lanes) {
  return fold(
      lanes, HALFTONE_REGISTERS(S a, S b) { return a > b ? a : b; });
}

/// 1 / k!
template <class S>
inline constexpr S inverse_factorial[] = {
    S(1),        S(1),         S(1) / 2,      S(1) / 6,       S(1) / 24,       S(1) / 120,       S(1) / 720,
    S(1) / 5040, S(1) / 40320, S(1) / 362880, S(1) / 3628800, S(1) / 39916800, S(1) / 479001600, S(1) / 6227020800};

/// exp(x): 2^n · Σ r^k / k! with x = n·ln 2 + r, |r| <= ln 2 / 2. Relative error below 2 roundings. 0 where the result
/// would be no normal number; the largest finite power instead of infinity; NaN stays.
template <class S>
HALFTONE_INLINE Lanes<S> exp(const Lanes<S>& x) {
  using L = Lanes<S>;
  constexpr bool single = sizeof(S) == sizeof(float);
  constexpr S lowest = single ? S(-87.33) : S(-708.39), highest = single ? S(88.37) : S(709.43);
  constexpr S magic = single ? S(12582912.0) : S(6755399441055744.0);  // 1.5 · 2^23, 1.5 · 2^52: adds to an integer
  constexpr S high = single ? S(0.693359375) : S(0x1.62e42fefap-1);    // ln 2 in two parts
  constexpr S low = single ? S(-2.12194440e-4) : S(0x1.cf79abc9e3b39p-40);
  constexpr int degree = single ? 7 : 13, mantissa = single ? 23 : 52, bias = single ? 127 : 1023;
  const L bounded = smaller(L(highest), larger(L(lowest), x));
  const L shifted = multiply_add(bounded, L(S(1.4426950408889634)), L(magic));
  const L n = shifted - L(magic);
  const L r = multiply_add(n, L(-low), multiply_add(n, L(-high), bounded));
  L y(inverse_factorial<S>[degree]);
  for (int k = degree - 1; k >= 0; --k) y = multiply_add(y, r, L(inverse_factorial<S>[k]));
  const auto scale = HALFTONE_REGISTERS(auto& out, const auto& in, const auto& sum, const auto& integer) {
    const auto power = ((Integers<S>)integer + bias) << mantissa;  // magic's own bits leave at the top
    out = in < lowest ? Vector<S>{} : sum * (Vector<S>)power;
  };
  return L::each(scale, x, y, shifted);
}

}  // namespace halftone::detail::HALFTONE_LEAF
