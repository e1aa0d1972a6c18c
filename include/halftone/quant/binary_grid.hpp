// The binary-coded grid: value = Σ_i α_i·(±1) + β, k sign planes and k + 1 numbers a group (GPTQT, arXiv 2407.02891).
//
// Planes and codes: bit i of a code is the sign of plane i (1: +α_i, 0: −α_i), and plane 0 has the largest α, so that
// the last planes can be dropped. The values that the 2^k codes decode to, ascending, are the grid's levels; they may
// coincide. The arithmetic is a handful of host-device functions, and always in float: what is stored is what is meant.
#pragma once

#include <cstdint>
#include <span>

#include "halftone/core/dtype.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/float16.hpp"
#include "halftone/core/matrix.hpp"
#include "halftone/core/options.hpp"
#include "halftone/core/platform.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone {

struct UniformGrid;  // quant/quantized_matrix.hpp

/// What codes of a matrix are.
enum class Coding : std::int32_t {
  Uniform = 0,  ///< scale · (code − zero)
  Binary = 1,   ///< Σ α_i·(±1) + β
};
template <>
struct EnumWords<Coding> {
  static constexpr std::string_view values[] = {"uniform", "binary"};
};

/// Which step vectors the search for a binary-coded grid tries.
enum class BinaryShapes : std::int32_t {
  All = 0,   ///< every partition of 2^n − 1 into k parts
  Fast = 1,  ///< the ten that win most, see step_vectors()
};
template <>
struct EnumWords<BinaryShapes> {
  static constexpr std::string_view values[] = {"all", "fast"};
};

/// Error that the search minimises over the columns of a group.
enum class BinaryObjective : std::int32_t {
  Hessian = 0,  ///< Σ H_jj (decode − w)²
  Plain = 1,    ///< Σ (decode − w)²
};
template <>
struct EnumWords<BinaryObjective> {
  static constexpr std::string_view values[] = {"hessian", "plain"};
};

/// What a binary-coded grid adds to GridOptions, of which it uses bits (k, 2 .. 4), group_size and scale_type.
struct BinaryOptions {
  int step1_bits = 5;
  BinaryShapes shapes = BinaryShapes::All;
  bool strict = false;
  BinaryObjective objective = BinaryObjective::Hessian;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit(integer("step1_bits", self.step1_bits, 3, 6, "n: bits of the integers that binary coding starts from"));
    visit(choice("shapes", self.shapes, "step vectors tried: every one, or the ten that win most"));
    visit(flag("strict", self.strict, "round to the n-bit integer first, then to a level; integer zero points"));
    visit(choice("objective", self.objective, "error that the search minimises: weighted by diag(H), or plain"));
  }
};

/// Parameters of a whole matrix.
struct BinaryGrid {
  int bits = 3;          ///< k, planes
  Index group_size = 0;  ///< columns of a full group, 1 .. in
  DType scale_type = DType::F16;
  Matrix<float> alphas;  ///< [out, groups · bits], a group's planes side by side, largest first, none negative
  Matrix<float> biases;  ///< [out, groups]; every value here and above is one that scale_type holds

  Index groups() const { return biases.cols(); }
};

/// Most planes that a BinaryGrid may have: what an 8-bit uniform grid converts to.
inline constexpr int max_planes = 8;

/// The nearest number that `type` holds, halves to even; beyond its largest finite one, that.
HALFTONE_HOST_DEVICE float round_stored(float value, ScaleType type) {
  const float largest = type == ScaleType::F16 ? 65504.0f : type == ScaleType::BF16 ? 0x1.fep127f : 0x1.fffffep127f;
  const float held = value > largest ? largest : value < -largest ? -largest : value;
  if (type == ScaleType::F16) return static_cast<float>(Float16(held));
  return type == ScaleType::BF16 ? static_cast<float>(BFloat16(held)) : held;
}

/// Value of `code`: the signed sum of alphas[0], alphas[stride], ... in this order, and the bias last. With alphas and
/// bias of 16 bits that stem from step vectors every sum is exact.
HALFTONE_HOST_DEVICE float decode_binary(unsigned code, const float* alphas, Index stride, float bias, int bits) {
  float sum = 0;
  for (int i = 0; i < bits; ++i) sum += (code >> i & 1u) != 0 ? alphas[i * stride] : -alphas[i * stride];
  return sum + bias;
}

/// The 2^bits levels, ascending, and the code of each; of coinciding levels the smaller code first.
HALFTONE_HOST_DEVICE void ascending_levels(const float* alphas, Index stride, float bias, int bits, float* levels,
                                           std::uint8_t* codes) {
  for (int code = 0; code < 1 << bits; ++code) {
    const float level = decode_binary(static_cast<unsigned>(code), alphas, stride, bias, bits);
    int at = code;
    for (; at > 0 && levels[at - 1] > level; --at) {
      levels[at] = levels[at - 1];
      codes[at] = codes[at - 1];
    }
    levels[at] = level;
    codes[at] = static_cast<std::uint8_t>(code);
  }
}

/// Between two neighbouring levels: values above it belong to the upper one, ties to the lower.
template <class Real>
HALFTONE_HOST_DEVICE Real threshold_between(Real lower, Real upper) {
  return Real(0.5) * lower + Real(0.5) * upper;
}

/// Index of the level whose cell holds `value`, given the count − 1 ascending thresholds between count levels.
template <class Real>
HALFTONE_HOST_DEVICE int find_level(Real value, const Real* thresholds, Index stride, int count) {
  int level = 0;
  for (int i = 0; i + 1 < count; ++i) level += value > thresholds[i * stride] ? 1 : 0;
  return level;
}

/// The same grid as sign planes: scale · (code − zero) = Σ α_i s_i + β with α = scale · 2^(bits−2−i), β =
/// scale · ((2^bits − 1)/2 − zero). Stored as float, where it is exact for scales of 16 bits. The code of a value is
/// the uniform one with its `bits` bits in reverse order (binary_code).
BinaryGrid to_binary(const UniformGrid& grid);

/// A code of a uniform grid as a code of to_binary's grid: bit i becomes bit bits − 1 − i.
constexpr std::uint8_t binary_code(std::uint8_t uniform_code, int bits) {
  unsigned reversed = 0;
  for (int i = 0; i < bits; ++i) reversed |= (uniform_code >> i & 1u) << (bits - 1 - i);
  return static_cast<std::uint8_t>(reversed);
}

/// codes [out, in] decoded in float. group_of_column [in]; empty: column / group_size. Throws Status::ShapeMismatch.
Matrix<float> dequantize(MatrixView<const std::uint8_t> codes, const BinaryGrid& grid,
                         std::span<const std::int32_t> group_of_column = {});

/// Bits that a matrix of `cols` columns needs: k planes, and k alphas and a bias a group in their stored type; with
/// groups of g columns k + 16 (k + 1) / g a weight.
Index stored_bits(const BinaryGrid& grid, Index cols);

inline Matrix<float> dequantize(MatrixView<const std::uint8_t> codes, const BinaryGrid& grid,
                                std::span<const std::int32_t> group_of_column) {
  require(grid.bits >= 1 && grid.bits <= max_planes && grid.alphas.rows() == codes.rows &&
              grid.biases.rows() == codes.rows && grid.alphas.cols() == grid.groups() * grid.bits,
          Status::ShapeMismatch, "binary grid: alphas are ", grid.alphas.rows(), " x ", grid.alphas.cols(), " for ",
          codes.rows, " rows, ", grid.groups(), " groups and ", grid.bits, " planes");
  require(group_of_column.empty() ? grid.group_size > 0 && (codes.cols - 1) / grid.group_size < grid.groups()
                                  : static_cast<Index>(group_of_column.size()) == codes.cols,
          Status::ShapeMismatch, "binary grid: ", codes.cols, " columns for ", grid.groups(), " groups of ",
          grid.group_size, " columns and ", group_of_column.size(), " group indices");
  Matrix<float> values(codes.rows, codes.cols);
  for (Index r = 0; r < codes.rows; ++r)
    for (Index c = 0; c < codes.cols; ++c) {
      const Index g = group_of_column.empty() ? c / grid.group_size : group_of_column[static_cast<std::size_t>(c)];
      values(r, c) = decode_binary(codes(r, c), grid.alphas.row(r) + g * grid.bits, 1, grid.biases(r, g), grid.bits);
    }
  return values;
}

}  // namespace halftone
