// Owning row-major matrices, aligned for vector units: what results are made of.
#pragma once

#include <algorithm>  // copy_n, fill
#include <limits>
#include <memory>  // unique_ptr

#include "halftone/core/error.hpp"
#include "halftone/core/memory.hpp"
#include "halftone/core/view.hpp"

namespace halftone {

namespace detail {
struct ReleaseMemory {
  std::size_t bytes = 0;
  void operator()(void* memory) const noexcept { release_memory(memory, bytes); }
};
}  // namespace detail

/// a * b for sizes; throws Status::OutOfMemory where the product does not fit. Sizes may come from hostile headers.
inline Index checked_product(Index a, Index b) {
  Index product = 0;
  require(a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, &product), Status::OutOfMemory, "size ", a, " x ", b,
          " does not fit in 63 bits");
  return product;
}

/// Row-major [rows, cols] on the host, contiguous, 64-byte aligned. T is a plain number type.
template <class T>
class Matrix {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Matrix() = default;
  /// Uninitialised. Throws std::bad_alloc; Status::OutOfMemory where the size itself overflows.
  Matrix(Index rows, Index cols) : rows_(rows), cols_(cols) {
    auto bytes = static_cast<std::size_t>(checked_product(checked_product(rows, cols), static_cast<Index>(sizeof(T))));
    if (bytes == 0) return;
    void* const memory = detail::take_memory(bytes);
    data_ = {static_cast<T*>(memory), detail::ReleaseMemory{bytes}};
  }
  Matrix(Index rows, Index cols, T value) : Matrix(rows, cols) { fill(value); }
  /// Copies the view.
  explicit Matrix(MatrixView<const T> view) : Matrix(view.rows, view.cols) {
    for (Index i = 0; i < rows_; ++i) std::copy_n(view.row(i), cols_, row(i));
  }

  Matrix(const Matrix& other) : Matrix(other.view()) {}
  Matrix& operator=(const Matrix& other) {
    if (this != &other) *this = Matrix(other);
    return *this;
  }
  Matrix(Matrix&& other) noexcept { swap(other); }
  Matrix& operator=(Matrix&& other) noexcept {
    Matrix moved(std::move(other));
    swap(moved);
    return *this;
  }

  Index rows() const noexcept { return rows_; }
  Index cols() const noexcept { return cols_; }
  Index size() const noexcept { return rows_ * cols_; }
  bool empty() const noexcept { return size() == 0; }
  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  T* row(Index i) noexcept { return data() + i * cols_; }
  const T* row(Index i) const noexcept { return data() + i * cols_; }
  T& operator()(Index i, Index j) noexcept { return data()[i * cols_ + j]; }
  const T& operator()(Index i, Index j) const noexcept { return data()[i * cols_ + j]; }

  MatrixView<T> view() noexcept { return {data(), rows_, cols_}; }
  MatrixView<const T> view() const noexcept { return {data(), rows_, cols_}; }
  operator MatrixView<T>() noexcept { return view(); }
  operator MatrixView<const T>() const noexcept { return view(); }

  void fill(T value) { std::fill_n(data(), static_cast<std::size_t>(size()), value); }
  void swap(Matrix& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(rows_, other.rows_);
    std::swap(cols_, other.cols_);
  }
  friend bool operator==(const Matrix& a, const Matrix& b) {
    return a.rows_ == b.rows_ && a.cols_ == b.cols_ && std::equal(a.data(), a.data() + a.size(), b.data());
  }

 private:
  std::unique_ptr<T[], detail::ReleaseMemory> data_;
  Index rows_ = 0;
  Index cols_ = 0;
};

}  // namespace halftone
