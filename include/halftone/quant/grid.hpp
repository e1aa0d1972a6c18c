// The uniform grid: value = scale · (code − zero), 0 <= code <= 2^bits − 1. (GPTQ, arXiv 2210.17323, section 3.)
// Its arithmetic is a handful of host-device functions that every backend and every reader uses: nothing else rounds.
#pragma once

#include <cstdint>
#include <optional>

#include "halftone/core/dtype.hpp"
#include "halftone/core/float16.hpp"
#include "halftone/core/options.hpp"
#include "halftone/core/platform.hpp"

namespace halftone {

/// Error that the search for a scale and a zero point minimises over the columns of a group.
enum class GridSearch : std::int32_t {
  MinMax = 0,   ///< no search: from the smallest to the largest weight
  L24 = 1,      ///< Σ |decode − w|^2.4, the "mse" clip search of the GPTQ code
  Hessian = 2,  ///< Σ H_jj (decode − w)²
  Owq = 3,      ///< as L24, over 100 scales × every zero point: the two-dimensional search of the OWQ code
};
template <>
struct EnumWords<GridSearch> {
  static constexpr std::string_view values[] = {"minmax", "l2.4", "hessian", "owq"};
};

/// Stored type of scales. They are rounded to it before the solve, so that what is compensated is what is stored.
enum class ScaleType : std::int32_t { F16 = 0, BF16 = 1, F32 = 2 };
template <>
struct EnumWords<ScaleType> {
  static constexpr std::string_view values[] = {"f16", "bf16", "f32"};
};
constexpr DType dtype_of(ScaleType type) {
  return type == ScaleType::F16 ? DType::F16 : type == ScaleType::BF16 ? DType::BF16 : DType::F32;
}
/// Inverse of dtype_of; nothing for a type that scales are not stored in.
constexpr std::optional<ScaleType> scale_type_of(DType type) {
  for (const ScaleType known : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
    if (dtype_of(known) == type) return known;
  return std::nullopt;
}

/// What a uniform grid may be. Group: consecutive input columns that share a scale and a zero.
struct GridOptions {
  int bits = 4;
  std::int64_t group_size = 128;  ///< columns; -1: the whole row
  bool symmetric = false;         ///< zero fixed at 2^(bits-1), range ±max|w|
  GridSearch search = GridSearch::MinMax;
  ScaleType scale_type = ScaleType::F16;
  int search_steps = 100;  ///< scales that GridSearch::Owq tries; no option of its own
  int minimum_zero = 0;    ///< smallest zero point; 1 for the v1 `gptq` format, which stores zero − 1

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(integer("bits", self.bits, 2, 8, "bits of a code"));
    visit(integer("group_size", self.group_size, -1, 1 << 30, "input columns that share a scale; -1: the whole row"));
    visit(flag("sym", self.symmetric, "symmetric grid: no zero points are stored"));
    visit(choice("grid", self.search, "error that the search for scale and zero minimises"));
    visit(choice("scale_type", self.scale_type, "stored type of the scales"));
    visit(integer("minimum_zero", self.minimum_zero, 0, 1, "smallest zero point of an asymmetric grid"));
  }

  constexpr int levels() const { return 1 << bits; }
  constexpr int top() const { return levels() - 1; }
  /// Columns of a full group of a matrix with `cols` columns.
  constexpr Index group_columns(Index cols) const { return group_size < 0 || group_size > cols ? cols : group_size; }
  /// Groups of a row of `cols` columns; the last may be short.
  constexpr Index groups(Index cols) const {
    return cols == 0 ? 0 : (cols + group_columns(cols) - 1) / group_columns(cols);
  }
};

/// Nearest integer, halves to even, for |x| < 2^22 (float) or 2^51 (double): larger values keep their size and are
/// clamped by the caller. Two additions, so it vectorises with every instruction set. Needs the default rounding mode.
HALFTONE_HOST_DEVICE float round_half_even(float x) {
  constexpr float magic = 12582912.0f;  // 1.5 · 2^23
  return (x + magic) - magic;
}
HALFTONE_HOST_DEVICE double round_half_even(double x) {
  constexpr double magic = 6755399441055744.0;  // 1.5 · 2^52
  return (x + magic) - magic;
}

/// Code of `value`, as a number: clamp(round(value / scale) + zero, 0, top). True division, rounding before the zero is
/// added, as in the GPTQ code. scale > 0; value finite.
template <class Real>
HALFTONE_HOST_DEVICE Real encode(Real value, Real scale, Real zero, Real top) {
  Real steps = value / scale;
  steps = steps < Real(-1024) ? Real(-1024) : steps > Real(1024) ? Real(1024) : steps;
  const Real code = round_half_even(steps) + zero;
  return code < Real(0) ? Real(0) : code > top ? top : code;
}

/// The nearest scale that `type` holds, at least its smallest positive value and at most its largest finite one. scale
/// >= 0.
template <class Real>
HALFTONE_HOST_DEVICE Real round_scale(Real scale, ScaleType type) {
  float value = static_cast<float>(scale), smallest = 0x1p-149f, largest = 0x1.fffffep127f;
  if (type == ScaleType::F16) {
    value = static_cast<float>(Float16(value));
    smallest = 0x1p-24f;
    largest = 65504.0f;
  } else if (type == ScaleType::BF16) {
    value = static_cast<float>(BFloat16(value));
    smallest = 0x1p-133f;
    largest = 0x1.fep127f;
  }
  return static_cast<Real>(value < smallest ? smallest : value > largest ? largest : value);
}

/// Value of `code`: scale · (code − zero).
template <class Real>
HALFTONE_HOST_DEVICE Real decode(Real code, Real scale, Real zero) {
  return scale * (code - zero);
}

}  // namespace halftone
