// Non-owning views of row-major matrices. Trivially copyable: they cross every boundary but the C one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace halftone {

/// Signed 64-bit: every size and address in the library.
using Index = std::int64_t;

/// Row-major matrix somewhere in memory that the view does not own. Element (i, j) is data[i * stride + j].
/// `stride` >= `cols` counts elements from one row to the next.
template <class T>
struct MatrixView {
  using value_type = std::remove_const_t<T>;

  T* data = nullptr;
  Index rows = 0;
  Index cols = 0;
  Index stride = 0;

  constexpr MatrixView() = default;
  constexpr MatrixView(T* data, Index rows, Index cols) : MatrixView(data, rows, cols, cols) {}
  constexpr MatrixView(T* data, Index rows, Index cols, Index stride)
      : data(data), rows(rows), cols(cols), stride(stride) {}

  /// A view of T converts to a view of const T.
  constexpr operator MatrixView<const T>() const requires(!std::is_const_v<T>) { return {data, rows, cols, stride}; }

  constexpr T& operator()(Index i, Index j) const { return data[i * stride + j]; }
  constexpr T* row(Index i) const { return data + i * stride; }
  constexpr Index size() const { return rows * cols; }
  constexpr bool empty() const { return rows == 0 || cols == 0; }

  /// Rows [first, first + count), columns [column, column + width).
  constexpr MatrixView block(Index first, Index column, Index count, Index width) const {
    return {data == nullptr ? data : data + first * stride + column, count, width, stride};
  }
  constexpr MatrixView middle_rows(Index first, Index count) const { return block(first, 0, count, cols); }
  constexpr MatrixView middle_cols(Index first, Index count) const { return block(0, first, rows, count); }
};

}  // namespace halftone
