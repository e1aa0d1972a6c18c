// Checks of shapes that the backends share.
#pragma once

#include <limits>

#include "halftone/backend/product.hpp"
#include "halftone/core/error.hpp"
#include "halftone/core/view.hpp"

namespace halftone {

/// `panel` of inverse_factor for U itself.
inline constexpr Index one_panel = std::numeric_limits<Index>::max();

namespace detail {

inline void require_shape(const char* who, const char* what, Index rows, Index cols, Index wanted_rows,
                          Index wanted_cols) {
  require(rows == wanted_rows && cols == wanted_cols, Status::ShapeMismatch, who, ": ", what, " is ", rows, " x ", cols,
          ", wanted ", wanted_rows, " x ", wanted_cols);
}

/// Of inverse_factor.
inline void require_panels(Index rows, Index cols, Index panel) {
  require(rows == cols, Status::ShapeMismatch, "inverse_factor: A is ", rows, " x ", cols, ", wanted square");
  require(panel > 0, Status::InvalidArgument, "inverse_factor: panel is ", panel, ", wanted 1 or more");
}

/// Of C [m, n] = op(A) [m, k] · op(B) [k, n].
template <class T, class S>
void require_product(const char* who, Transpose a, Transpose b, MatrixView<const T> A, MatrixView<const T> B,
                     MatrixView<S> C) {
  const Index m = a == Transpose::Yes ? A.cols : A.rows, k = a == Transpose::Yes ? A.rows : A.cols;
  const Index inner = b == Transpose::Yes ? B.cols : B.rows, n = b == Transpose::Yes ? B.rows : B.cols;
  require(k == inner && C.rows == m && C.cols == n, Status::ShapeMismatch, who, ": op(A) is ", m, " x ", k,
          " and op(B) ", inner, " x ", n, "; C is ", C.rows, " x ", C.cols, ", wanted ", m, " x ", n,
          " and equal inner sizes");
}

}  // namespace detail
}  // namespace halftone
