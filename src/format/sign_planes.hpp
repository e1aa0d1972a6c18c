// Sign planes of binary-coded matrices: bit i of every code goes into plane i, which is a matrix of ±1 of its own.
//
//   words [bits · rows, ceil(cols / 32)]: row i·rows + r is row r of plane i, column j is bit j % 32 of word j / 32,
//   1 for +α_i. The bits behind the last column are zero.
//
// Eight columns are moved at a time, by one multiplication. Cost: bits · rows · cols / 8 steps each way.
#pragma once

#include <cstdint>

#include "halftone/core/matrix.hpp"

namespace halftone::detail {

constexpr Index plane_words(Index cols) { return (cols + 31) / 32; }

/// codes [rows, cols] of `bits` 1 .. 8. Throws Status::InvalidArgument for a code that needs more.
Matrix<std::uint32_t> pack_planes(MatrixView<const std::uint8_t> codes, int bits);
/// Inverse: codes [words.rows / bits, cols]. Throws Status::ShapeMismatch. Bits behind the last column are not looked
/// at.
Matrix<std::uint8_t> unpack_planes(MatrixView<const std::uint32_t> words, int bits, Index cols);

}  // namespace halftone::detail
