// Rows as vector lanes: a tile of row_lanes<S> rows, transposed into a buffer [column][lane], so that loops which run
// through columns in sequence work on whole vectors of rows. Lanes never mix: the width of a vector changes no result.
#pragma once

#include "halftone/backend/cpu_kernels.hpp"
#include "halftone/backend/leaf/namespace.hpp"
#include "halftone/core/platform.hpp"

namespace halftone::detail::HALFTONE_LEAF {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

template <class S>
struct VectorOf {
  typedef S type __attribute__((vector_size(vector_bytes)));
};
/// A register of S.
template <class S>
using Vector = typename VectorOf<S>::type;
template <class S>
inline constexpr Index vector_lanes = vector_bytes / static_cast<Index>(sizeof(S));

/// A register's numbers in memory, at any alignment. (A packed member: clang forgets the lower alignment of a vector
/// type behind a reference.)
template <class S>
struct __attribute__((packed, may_alias)) UnalignedVector {
  Vector<S> v;
};
template <class S>
HALFTONE_HOST_DEVICE UnalignedVector<S>& vector_at(S* address) {
  return *reinterpret_cast<UnalignedVector<S>*>(address);
}
template <class S>
HALFTONE_HOST_DEVICE const UnalignedVector<S>& vector_at(const S* address) {
  return *reinterpret_cast<const UnalignedVector<S>*>(address);
}

/// to[c · to_stride + r] = from[r · from_stride + c] for 4 x 4 numbers.
template <class S>
HALFTONE_HOST_DEVICE void transpose_4x4(const S* from, Index from_stride, S* to, Index to_stride) {
  typedef S Four __attribute__((vector_size(4 * sizeof(S))));
  struct __attribute__((packed, may_alias)) Unaligned {
    Four v;
  };
  const auto row = [&](Index r) { return reinterpret_cast<const Unaligned*>(from + r * from_stride); };
  const auto column = [&](Index c) { return reinterpret_cast<Unaligned*>(to + c * to_stride); };
  const Four a = row(0)->v, b = row(1)->v, c = row(2)->v, d = row(3)->v;
  const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  column(0)->v = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
  column(1)->v = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
  column(2)->v = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
  column(3)->v = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/// to[c · to_stride + r] = from[r · from_stride + c] for r < rows, c < cols.
template <class S>
HALFTONE_HOST_DEVICE void transpose(const S* from, Index from_stride, Index rows, Index cols, S* HALFTONE_RESTRICT to,
                                    Index to_stride) {
  const Index whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
  for (Index r = 0; r < whole_rows; r += 4)
    for (Index c = 0; c < whole_cols; c += 4)
      transpose_4x4(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
  for (Index r = 0; r < rows; ++r)
    for (Index c = r < whole_rows ? whole_cols : 0; c < cols; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}

/// tile[c][r] = source(r, c) for `rows` <= row_lanes rows; lanes beyond are 0.
template <class S>
HALFTONE_HOST_DEVICE void load_rows(const S* source, Index stride, Index rows, Index width, S* tile) {
  constexpr Index lanes = row_lanes<S>;
  transpose(source, stride, rows, width, tile, lanes);
  for (Index c = 0; c < width; ++c)
    for (Index r = rows; r < lanes; ++r) tile[c * lanes + r] = S(0);
}

/// target(r, c) = tile[c][r] for the first `rows` lanes.
template <class S>
HALFTONE_HOST_DEVICE void store_rows(const S* tile, Index rows, Index width, S* target, Index stride) {
  transpose(tile, row_lanes<S>, width, rows, target, stride);
}

}  // namespace halftone::detail::HALFTONE_LEAF
