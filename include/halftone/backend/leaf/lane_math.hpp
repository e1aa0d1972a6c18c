// Leaf kernels: sixteen floats or eight doubles that go through the same arithmetic, 64 bytes whatever the processor's
// vectors are, so that sums over lanes have one order with every instruction set.
#pragma once

#include "halftone/backend/leaf/lanes.hpp"
#include "halftone/backend/nn_kernels.hpp"

namespace halftone::detail::HALFTONE_LEAF {

#define HALFTONE_INLINE inline __attribute__((always_inline))

template <class S>
struct LaneTypes;
template <>
struct LaneTypes<float> {
  typedef float Vector __attribute__((vector_size(vector_bytes)));
  typedef int Bits __attribute__((vector_size(vector_bytes)));
};
template <>
struct LaneTypes<double> {
  typedef double Vector __attribute__((vector_size(vector_bytes)));
  typedef long long Bits __attribute__((vector_size(vector_bytes)));
};

template <class S>
struct Lanes {
  using Vector = typename LaneTypes<S>::Vector;
  using Bits = typename LaneTypes<S>::Bits;
  static constexpr Index count = lane_count<S>;
  static constexpr int parts = 64 / vector_bytes;
  Vector part[parts];

  Lanes() = default;
  HALFTONE_INLINE Lanes(S value) {
    for (int p = 0; p < parts; ++p) part[p] = value - Vector{};
  }
  HALFTONE_INLINE static Lanes load(const S* source) {
    Lanes lanes;
    __builtin_memcpy(lanes.part, source, 64);
    return lanes;
  }
  /// The first `left` numbers (all if there are as many), `rest` in the other lanes.
  HALFTONE_INLINE static Lanes load(const S* source, Index left, S rest = S(0)) {
    if (left >= count) return load(source);
    S buffer[count];
    for (Index i = 0; i < count; ++i) buffer[i] = i < left ? source[i] : rest;
    return load(buffer);
  }
  HALFTONE_INLINE void store(S* target) const { __builtin_memcpy(target, part, 64); }
  /// The first `left` numbers.
  HALFTONE_INLINE void store(S* target, Index left) const {
    if (left >= count) return store(target);
    S buffer[count];
    store(buffer);
    for (Index i = 0; i < left; ++i) target[i] = buffer[i];
  }

  HALFTONE_INLINE friend Lanes operator+(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] += b.part[p];
    return a;
  }
  HALFTONE_INLINE friend Lanes operator-(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] -= b.part[p];
    return a;
  }
  HALFTONE_INLINE friend Lanes operator*(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] *= b.part[p];
    return a;
  }
  HALFTONE_INLINE friend Lanes operator/(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] /= b.part[p];
    return a;
  }
  /// a · b + c, in one rounding where the instruction set has it.
  HALFTONE_INLINE static Lanes multiply_add(const Lanes& a, const Lanes& b, Lanes c) {
    for (int p = 0; p < parts; ++p) c.part[p] = a.part[p] * b.part[p] + c.part[p];
    return c;
  }
  /// a where a > b, b elsewhere: a NaN in b stays.
  HALFTONE_INLINE static Lanes larger(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] = a.part[p] > b.part[p] ? a.part[p] : b.part[p];
    return a;
  }
  HALFTONE_INLINE static Lanes smaller(Lanes a, const Lanes& b) {
    for (int p = 0; p < parts; ++p) a.part[p] = a.part[p] < b.part[p] ? a.part[p] : b.part[p];
    return a;
  }

  /// Sum of all lanes, halves on halves.
  HALFTONE_INLINE S sum() const {
    S buffer[count];
    store(buffer);
    for (Index half = count / 2; half > 0; half /= 2)
      for (Index i = 0; i < half; ++i) buffer[i] += buffer[i + half];
    return buffer[0];
  }
  HALFTONE_INLINE S largest() const {
    S buffer[count];
    store(buffer);
    for (Index half = count / 2; half > 0; half /= 2)
      for (Index i = 0; i < half; ++i) buffer[i] = buffer[i] > buffer[i + half] ? buffer[i] : buffer[i + half];
    return buffer[0];
  }
};

/// 1 / k!
template <class S>
inline constexpr S inverse_factorial[] = {
    S(1),        S(1),         S(1) / 2,      S(1) / 6,       S(1) / 24,       S(1) / 120,       S(1) / 720,
    S(1) / 5040, S(1) / 40320, S(1) / 362880, S(1) / 3628800, S(1) / 39916800, S(1) / 479001600, S(1) / 6227020800};

/// exp(x): 2^n · Σ r^k / k! with x = n·ln 2 + r, |r| <= ln 2 / 2. Relative error below 2 roundings. 0 where the result
/// would be no normal number; the largest finite power instead of infinity; NaN stays.
template <class S>
HALFTONE_INLINE Lanes<S> exp(Lanes<S> x) {
  using L = Lanes<S>;
  constexpr bool single = sizeof(S) == sizeof(float);
  constexpr S lowest = single ? S(-87.33) : S(-708.39), highest = single ? S(88.37) : S(709.43);
  constexpr S magic = single ? S(12582912.0) : S(6755399441055744.0);  // 1.5 · 2^23, 1.5 · 2^52: adds to an integer
  constexpr S high = single ? S(0.693359375) : S(0x1.62e42fefap-1);    // ln 2 in two parts
  constexpr S low = single ? S(-2.12194440e-4) : S(0x1.cf79abc9e3b39p-40);
  constexpr int degree = single ? 7 : 13, mantissa = single ? 23 : 52, bias = single ? 127 : 1023;
  const L bounded = L::smaller(L(highest), L::larger(L(lowest), x));
  const L shifted = L::multiply_add(bounded, L(S(1.4426950408889634)), L(magic));
  const L n = shifted - L(magic);
  const L r = L::multiply_add(n, L(-low), L::multiply_add(n, L(-high), bounded));
  L sum(inverse_factorial<S>[degree]);
  for (int k = degree - 1; k >= 0; --k) sum = L::multiply_add(sum, r, L(inverse_factorial<S>[k]));
  for (int p = 0; p < L::parts; ++p) {
    using Bits = typename L::Bits;
    const Bits power = ((Bits)shifted.part[p] + bias) << mantissa;  // magic's own bits leave at the top
    sum.part[p] *= (typename L::Vector)power;
    sum.part[p] = x.part[p] < lowest ? typename L::Vector{} : sum.part[p];
  }
  return sum;
}

}  // namespace halftone::detail::HALFTONE_LEAF
