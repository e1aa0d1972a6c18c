// Primitives that move and reduce matrices: bound by memory, a few lines each. All memory is the backend's.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>
#include <vector>

#include "halftone/backend/cpu.hpp"
#include "halftone/core/finite.hpp"

namespace halftone {

namespace detail {
/// Rows of one unit of work: about 64 Ki elements, whatever the number of threads.
inline constexpr Index elements_of_unit = Index{1} << 16;
inline Index rows_of_unit(Index cols, Index elements = elements_of_unit) {
  return std::max<Index>(1, elements / std::max<Index>(cols, 1));
}
}  // namespace detail

/// Where an element stands.
struct Position {
  Index row = 0, column = 0;
};

/// out(r, j) = A(r, order[j]).  A [rows, >= every order[j] + 1], out [rows, cols]; order [cols]. out must not overlap
/// A.
template <class T>
void gather_columns(const Context<Cpu>& context, std::type_identity_t<MatrixView<const T>> A, const std::int32_t* order,
                    MatrixView<T> out) {
  parallel_pieces(context.threads(), out.rows, detail::rows_of_unit(out.cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) {
      const T* from = A.row(r);
      T* to = out.row(r);
      for (Index j = 0; j < out.cols; ++j) to[j] = from[order[j]];
    }
  });
}

/// A with its columns in the given order, as gather_columns; `Owner` is a matrix of the backend.
template <class Owner>
Owner reordered(const Context<Cpu>& context, const Owner& A, const std::vector<std::int32_t>& order) {
  Owner out(A.rows(), A.cols());
  gather_columns(context, A.view(), order.data(), out.view());
  return out;
}

/// Square A becomes the identity.
template <class S>
void set_identity(const Context<Cpu>&, MatrixView<S> A) {
  for (Index i = 0; i < A.rows; ++i)
    for (Index j = 0; j < A.cols; ++j) A(i, j) = i == j ? S(1) : S(0);
}

/// Sets the columns j of A [rows, cols] with mask[j] != 0 to zero.
template <class T>
void clear_columns(const Context<Cpu>& context, MatrixView<T> A, const std::uint8_t* mask) {
  parallel_pieces(context.threads(), A.rows, detail::rows_of_unit(A.cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r)
      for (Index j = 0; j < A.cols; ++j)
        if (mask[j] != 0) A(r, j) = T(0);
  });
}

/// out = A in another precision, both [rows, cols].
template <class T, class S>
void convert(const Context<Cpu>& context, MatrixView<const T> A, MatrixView<S> out) {
  parallel_pieces(context.threads(), A.rows, detail::rows_of_unit(A.cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r)
      for (Index j = 0; j < A.cols; ++j) out(r, j) = static_cast<S>(A(r, j));
  });
}

/// A += alpha · B, both [rows, cols].
template <class S>
void add_scaled(const Context<Cpu>& context, MatrixView<S> A, S alpha, std::type_identity_t<MatrixView<const S>> B) {
  parallel_pieces(context.threads(), A.rows, detail::rows_of_unit(A.cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) {
      S* to = A.row(r);
      const S* from = B.row(r);
      for (Index j = 0; j < A.cols; ++j) to[j] += alpha * from[j];
    }
  });
}

namespace detail {
/// run(first element, elements) for the rows [first, last) of A, and of B if they are as long: one run where rows
/// follow each other without a gap.
template <class S, class Run>
void for_runs(MatrixView<const S> A, MatrixView<const S> B, Index first, Index last, Run&& run) {
  if (A.stride == A.cols && B.stride == B.cols) return run(A.row(first), B.row(first), (last - first) * A.cols);
  for (Index r = first; r < last; ++r) run(A.row(r), B.row(r), A.cols);
}
}  // namespace detail

/// Σ A_ij · B_ij in double, both [rows, cols]; the order of the sum depends on shape and strides alone.
template <class S>
double inner_product(const Context<Cpu>& context, MatrixView<const S> A, std::type_identity_t<MatrixView<const S>> B) {
  const auto kernel = context.kernels().template linear<S>().inner_product;
  const Index unit = detail::rows_of_unit(A.cols), units = (A.rows + unit - 1) / unit;
  std::vector<double> partial(static_cast<std::size_t>(units), 0.0);
  parallel_for(context.threads(), units, [&](Index u) {
    detail::for_runs(A, B, u * unit, std::min(A.rows, (u + 1) * unit),
                     [&](const S* a, const S* b, Index n) { partial[static_cast<std::size_t>(u)] += kernel(n, a, b); });
  });
  double total = 0;
  for (double sum : partial) total += sum;
  return total;
}

/// Σ over calls of Σ A_ij · B_ij, each as inner_product: for loops that must not wait for a device.
template <class Backend>
class RunningSum;
template <>
class RunningSum<Cpu> {
 public:
  /// For matrices of `rows` rows.
  RunningSum(const Context<Cpu>& context, Index /*rows*/) : context_(&context) {}
  template <class S>
  void add(MatrixView<const S> A, MatrixView<const S> B) {
    sum_ += inner_product(*context_, A, B);
  }
  double value() const { return sum_; }

 private:
  const Context<Cpu>* context_;
  double sum_ = 0;
};

/// The first NaN or infinite element of A in row-major order, if there is one. S: float, double, BFloat16, Float16.
template <class S>
std::optional<Position> find_nonfinite(const Context<Cpu>& context, MatrixView<const S> A) {
  const auto row_finite = [&](Index r) {
    if constexpr (sizeof(S) > 2)
      return context.kernels().template linear<S>().all_finite(A.cols, A.row(r));
    else
      return all_finite(A.cols, A.row(r));
  };
  const Index unit = detail::rows_of_unit(A.cols), units = (A.rows + unit - 1) / unit;
  std::vector<Index> bad(static_cast<std::size_t>(units), -1);  // first row of each unit that holds one
  parallel_for(context.threads(), units, [&](Index u) {
    for (Index r = u * unit; r < std::min(A.rows, (u + 1) * unit) && bad[static_cast<std::size_t>(u)] < 0; ++r)
      if (!row_finite(r)) bad[static_cast<std::size_t>(u)] = r;
  });
  for (Index r : bad)
    for (Index j = 0; r >= 0 && j < A.cols; ++j)
      if (!all_finite(1, &A(r, j))) return Position{r, j};
  return std::nullopt;
}

/// The diagonal of square A, on the host.
template <class S>
std::vector<double> diagonal(const Context<Cpu>&, MatrixView<const S> A) {
  std::vector<double> values(static_cast<std::size_t>(A.rows));
  for (Index i = 0; i < A.rows; ++i) values[static_cast<std::size_t>(i)] = static_cast<double>(A(i, i));
  return values;
}

/// out(i, j) = scale · A(order[i], order[j]), and 0 where mask[order[j]] is set: a square matrix in solving order on
/// both axes. Of A [n, n] are given the rows from `first_row` on, as many as there are: of out [n, n] the rows that are
/// made of them are set. order [n] and mask [n] are on the host. out must not overlap A.
template <class S>
void gather_square(const Context<Cpu>& context, std::type_identity_t<MatrixView<const S>> A, Index first_row,
                   const std::int32_t* order, const std::uint8_t* mask, S scale, MatrixView<S> out) {
  parallel_pieces(context.threads(), out.rows, detail::rows_of_unit(out.cols), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const Index row = order[i] - first_row;
      if (row < 0 || row >= A.rows) continue;
      const S* from = A.row(row);
      S* to = out.row(i);
      for (Index j = 0; j < out.cols; ++j) to[j] = mask[order[j]] != 0 ? S(0) : scale * from[order[j]];
    }
  });
}

/// Every element of A becomes `value`.
template <class S>
void fill(const Context<Cpu>& context, MatrixView<S> A, S value) {
  parallel_pieces(context.threads(), A.rows, detail::rows_of_unit(A.cols), [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) std::fill_n(A.row(r), A.cols, value);
  });
}

/// Every element of A becomes zero.
template <class S>
void set_zero(const Context<Cpu>& context, MatrixView<S> A) {
  fill(context, A, S(0));
}

/// Zeros on and below the diagonal of square A.
template <class S>
void clear_lower(const Context<Cpu>& context, MatrixView<S> A) {
  parallel_pieces(context.threads(), A.rows, detail::rows_of_unit(A.cols), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) std::fill_n(A.row(i), std::min(i + 1, A.cols), S(0));
  });
}

/// Σ_r A_rj² of every column j, in double, on the host; rows are added in their order.
template <class S>
std::vector<double> column_squares(const Context<Cpu>& context, MatrixView<const S> A) {
  constexpr Index width = 64;
  std::vector<double> sums(static_cast<std::size_t>(A.cols), 0.0);
  parallel_pieces(context.threads(), A.cols, width, [&](Index first, Index last) {
    for (Index r = 0; r < A.rows; ++r)
      for (Index j = first; j < last; ++j) {
        const auto value = static_cast<double>(A(r, j));
        sums[static_cast<std::size_t>(j)] += value * value;
      }
  });
  return sums;
}

/// The system of a solve from symmetric H [n, n] (both triangles), on and above the diagonal of out [n, n]:
///   out(i, j) = scale · H(order[i], order[j]) for i < j, 0 where mask[order[i]] or mask[order[j]] is set;
///   out(i, i) = values[order[i]].
/// Below the diagonal out keeps what it held. Of H are given the rows from `first_row` on, as of gather_square. mask
/// [n], values [n] and order [n] are on the host.
template <class S, class T>
void gather_system(const Context<Cpu>& context, MatrixView<const S> H, Index first_row, const std::int32_t* order,
                   const std::uint8_t* mask, const double* values, double scale, MatrixView<T> out) {
  parallel_pieces(context.threads(), out.rows, detail::rows_of_unit(out.cols), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const Index row = order[i] - first_row;
      if (row < 0 || row >= H.rows) continue;
      const S* from = H.row(row);
      T* to = out.row(i);
      to[i] = static_cast<T>(values[order[i]]);
      const double row_scale = mask[order[i]] != 0 ? 0.0 : scale;
      for (Index j = i + 1; j < out.cols; ++j)
        to[j] = mask[order[j]] != 0 ? T(0) : static_cast<T>(row_scale * static_cast<double>(from[order[j]]));
    }
  });
}

}  // namespace halftone
