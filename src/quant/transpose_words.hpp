// Transposition of a tile of 32-bit words, 4 × 4 at a time.
#pragma once

#include <algorithm>  // min, max
#include <cstdint>

#include "halftone/core/view.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace halftone::detail {

using FourWords = std::uint32_t __attribute__((vector_size(16)));

inline FourWords load_four(const std::uint32_t* source) {
  FourWords x;
  __builtin_memcpy(&x, source, sizeof x);
  return x;
}

/// `streaming`: past the caches where the place is aligned, so that lines which will be written whole are not read
/// first.
template <bool streaming>
void store_four(std::uint32_t* target, FourWords x) {
#if defined(__SSE2__)
  if (streaming && reinterpret_cast<std::uintptr_t>(target) % 16 == 0) {
    __m128i bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    _mm_stream_si128(reinterpret_cast<__m128i*>(target), bits);
    return;
  }
#endif
  __builtin_memcpy(target, &x, sizeof x);
}

/// Streamed words become visible to others.
inline void finish_streaming() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

/// target[j][i] = source[i][j] for a 4 × 4 block.
template <bool streaming>
void transpose_4x4(const std::uint32_t* source, Index source_stride, std::uint32_t* target, Index target_stride) {
  const FourWords a = load_four(source), b = load_four(source + source_stride),
                  c = load_four(source + 2 * source_stride), d = load_four(source + 3 * source_stride);
  const FourWords ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                  ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const FourWords cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                  cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store_four<streaming>(target, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store_four<streaming>(target + target_stride, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store_four<streaming>(target + 2 * target_stride, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store_four<streaming>(target + 3 * target_stride, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

/// target(j, i) = source(i, j). Streaming, by columns of the source: a line of the target is finished before the next
/// is begun. Else by strips of its rows: their lines are often a power of two apart, of which a cache holds few.
template <bool streaming>
void transpose_words(MatrixView<const std::uint32_t> source, MatrixView<std::uint32_t> target) {
  const Index rows = source.rows / 4 * 4, cols = source.cols / 4 * 4, strip = streaming ? std::max<Index>(4, rows) : 8;
  for (Index first = 0; first < rows; first += strip)
    for (Index j = 0; j < cols; j += 4)
      for (Index i = first; i < std::min(rows, first + strip); i += 4)
        transpose_4x4<streaming>(source.row(i) + j, source.stride, target.row(j) + i, target.stride);
  for (Index i = rows; i < source.rows; ++i)
    for (Index j = 0; j < cols; ++j) target(j, i) = source(i, j);
  for (Index j = cols; j < source.cols; ++j)
    for (Index i = 0; i < source.rows; ++i) target(j, i) = source(i, j);
}

}  // namespace halftone::detail
