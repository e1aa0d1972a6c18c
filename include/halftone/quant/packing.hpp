// Packing of codes into words. One packing serves GPTQ, compressed-tensors and MLX checkpoints alike:
//
//   Stream(b): the codes one after the other, lowest bit first; code j occupies the bits [b·j, b·j + b) of a bit string
//   that is stored as little-endian 32-bit words. The last word is filled with zero bits.
//
// For 3 bits that is GPTQ's historic pattern of 32 codes in 3 words, without a special case. Cost: codes are read (or
// written) once as bytes, words once; both loops are bound by memory. Same bytes for any number of threads.
#pragma once

#include <cstdint>

#include "halftone/core/matrix.hpp"

namespace halftone {

/// Where the words of a row of codes go.
enum class WordLayout : std::int32_t {
  Rows = 0,     ///< words [rows, packed_words(cols)]: compressed-tensors `weight_packed`, GPTQ `qzeros` of zerosᵀ
  Columns = 1,  ///< words [packed_words(cols), rows], the stream of row i runs down column i: GPTQ `qweight`
};

/// Words of a stream of `codes` codes of `bits` bits: ceil(codes · bits / 32).
constexpr Index packed_words(Index codes, int bits) { return (codes * bits + 31) / 32; }

/// Packs every row of codes [rows, cols] into `words`, whose shape `layout` says. bits 2 .. 8, up to `threads` threads.
/// Throws Status::ShapeMismatch; Status::InvalidArgument for a code that needs more bits.
void pack_codes(MatrixView<const std::uint8_t> codes, int bits, WordLayout layout, MatrixView<std::uint32_t> words,
                int threads = 1);
/// The same into words of their own.
Matrix<std::uint32_t> pack_codes(MatrixView<const std::uint8_t> codes, int bits, WordLayout layout, int threads = 1);

/// Inverse: fills codes [rows, cols]. Throws Status::ShapeMismatch. Bits behind a row's last code are not looked at.
void unpack_codes(MatrixView<const std::uint32_t> words, int bits, WordLayout layout, MatrixView<std::uint8_t> codes,
                  int threads = 1);

/// Copy with rows and columns exchanged. Formats pack zeros [out, groups] along out.
Matrix<std::uint8_t> transposed(MatrixView<const std::uint8_t> matrix);

}  // namespace halftone
