#include "format/sign_planes.hpp"

#include <algorithm>  // min
#include <cstring>    // memcpy

namespace halftone::detail {
namespace {

constexpr std::uint64_t ones = 0x0101010101010101;  // the lowest bit of each of eight codes

/// Bit `plane` of eight codes as one byte, the first code lowest. The product has 2^(8j + 7m), m = 1 .. 8, for every
/// set bit j: all distinct, and in the top byte those with m = 8 − j, at 56 + j.
std::uint8_t gather(std::uint64_t codes, int plane) {
  return static_cast<std::uint8_t>((codes >> plane & ones) * 0x0102040810204080 >> 56);
}

/// Inverse: bit j of `byte` as bit 0 of code j. Bit j of its copy in code j is kept and carried into that code's bit 7.
std::uint64_t spread(std::uint8_t byte) {
  const std::uint64_t kept = byte * ones & 0x8040201008040201;
  return (kept + 0x7f * ones) >> 7 & ones;
}

}  // namespace

Matrix<std::uint32_t> pack_planes(MatrixView<const std::uint8_t> codes, int bits) {
  Matrix<std::uint32_t> words(bits * codes.rows, plane_words(codes.cols), 0);
  std::uint64_t seen = 0;
  for (Index r = 0; r < codes.rows; ++r)
    for (Index j = 0; j < codes.cols; j += 8) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, codes.row(r) + j, static_cast<std::size_t>(std::min<Index>(8, codes.cols - j)));
      seen |= eight;
      for (int i = 0; i < bits; ++i)
        words(i * codes.rows + r, j / 32) |= static_cast<std::uint32_t>(gather(eight, i)) << j % 32;
    }
  const std::uint64_t wide = bits < 8 ? (0xff - ((1u << bits) - 1)) * ones : 0;
  require((seen & wide) == 0, Status::InvalidArgument, "sign planes: a code needs more than ", bits, " bits");
  return words;
}

Matrix<std::uint8_t> unpack_planes(MatrixView<const std::uint32_t> words, int bits, Index cols) {
  require(bits >= 1 && words.rows % bits == 0 && words.cols == plane_words(cols), Status::ShapeMismatch,
          "sign planes: words of [", words.rows, ", ", words.cols, "] for ", bits, " planes of ", cols, " columns");
  Matrix<std::uint8_t> codes(words.rows / bits, cols);
  for (Index r = 0; r < codes.rows(); ++r)
    for (Index j = 0; j < cols; j += 8) {
      std::uint64_t eight = 0;
      for (int i = 0; i < bits; ++i)
        eight |= spread(static_cast<std::uint8_t>(words.row(i * codes.rows() + r)[j / 32] >> j % 32)) << i;
      std::memcpy(codes.row(r) + j, &eight, static_cast<std::size_t>(std::min<Index>(8, cols - j)));
    }
  return codes;
}

}  // namespace halftone::detail
