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
  typedef S type __attribute__((vector_size(vector_bytes), aligned(sizeof(S)), may_alias));
};
/// A register of S; loads and stores of any alignment.
template <class S>
using Vector = typename VectorOf<S>::type;
template <class S>
inline constexpr Index vector_lanes = vector_bytes / static_cast<Index>(sizeof(S));

template <class S>
HALFTONE_HOST_DEVICE Vector<S>& vector_at(S* address) {
  return *reinterpret_cast<Vector<S>*>(address);
}
template <class S>
HALFTONE_HOST_DEVICE const Vector<S>& vector_at(const S* address) {
  return *reinterpret_cast<const Vector<S>*>(address);
}

/// tile[c][r] = source(r, c) for `rows` <= row_lanes rows; lanes beyond are 0.
template <class S>
HALFTONE_HOST_DEVICE void load_rows(const S* source, Index stride, Index rows, Index width, S* HALFTONE_RESTRICT tile) {
  constexpr Index lanes = row_lanes<S>;
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < width; ++c) tile[c * lanes + r] = source[r * stride + c];
  for (Index r = rows; r < lanes; ++r)
    for (Index c = 0; c < width; ++c) tile[c * lanes + r] = S(0);
}

/// target(r, c) = tile[c][r] for the first `rows` lanes, as T.
template <class S, class T>
HALFTONE_HOST_DEVICE void store_rows(const S* HALFTONE_RESTRICT tile, Index rows, Index width, T* target,
                                     Index stride) {
  constexpr Index lanes = row_lanes<S>;
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < width; ++c) target[r * stride + c] = static_cast<T>(tile[c * lanes + r]);
}

}  // namespace halftone::detail::HALFTONE_LEAF
