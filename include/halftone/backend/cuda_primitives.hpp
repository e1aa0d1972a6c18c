// The primitives of the CUDA backend: the same functions as in the CPU's headers, where each one's contract stands, for
// Context<Cuda>. Matrices are in device memory; lists of columns (order, mask, columns, group_of_position, values) are
// on the host, as solvers have them. Compiled into the library for S = float, and what the factorisation needs for
// double.
#pragma once

#include <optional>
#include <type_traits>
#include <vector>

#include "halftone/backend/arrange.hpp"
#include "halftone/backend/cuda.hpp"
#include "halftone/backend/linear_algebra.hpp"

namespace halftone {

// arrange.hpp

template <class T>
void gather_columns(const Context<Cuda>& context, std::type_identity_t<MatrixView<const T>> A,
                    const std::int32_t* order, MatrixView<T> out);
template <class T>
CudaMatrix<T> reordered(const Context<Cuda>& context, const CudaMatrix<T>& A, const std::vector<std::int32_t>& order) {
  auto out = context.template allocate<T>(A.rows(), A.cols());
  gather_columns<T>(context, A.view(), order.data(), out.view());
  return out;
}
template <class S>
void set_identity(const Context<Cuda>& context, MatrixView<S> A);
template <class T>
void clear_columns(const Context<Cuda>& context, MatrixView<T> A, const std::uint8_t* mask);
template <class T, class S>
void convert(const Context<Cuda>& context, MatrixView<const T> A, MatrixView<S> out);
template <class S>
void add_scaled(const Context<Cuda>& context, MatrixView<S> A, S alpha, std::type_identity_t<MatrixView<const S>> B);
template <class S>
void fill(const Context<Cuda>& context, MatrixView<S> A, S value);
template <class S>
std::optional<Position> find_nonfinite(const Context<Cuda>& context, MatrixView<const S> A);
template <class S>
std::vector<double> diagonal(const Context<Cuda>& context, MatrixView<const S> A);
template <class S>
void gather_square(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A, const std::int32_t* order,
                   const std::uint8_t* mask, S scale, MatrixView<S> out);
template <class S>
void set_zero(const Context<Cuda>& context, MatrixView<S> A);
template <class S>
void clear_lower(const Context<Cuda>& context, MatrixView<S> A);
template <class S>
std::vector<double> column_squares(const Context<Cuda>& context, MatrixView<const S> A);
template <class S, class T>
void gather_system(const Context<Cuda>& context, MatrixView<const S> H, const std::int32_t* order,
                   const std::uint8_t* mask, const double* values, double scale, MatrixView<T> out);

/// On the device a row's sum stays there until value() asks: adding waits for nothing.
template <>
class RunningSum<Cuda> {
 public:
  /// For matrices of `rows` rows.
  RunningSum(const Context<Cuda>& context, Index rows);
  void add(MatrixView<const float> A, MatrixView<const float> B);
  double value() const;

 private:
  const Context<Cuda>* context_;
  CudaMatrix<double> sums_;  // [1, rows]
};

template <class S>
double inner_product(const Context<Cuda>& context, MatrixView<const S> A, std::type_identity_t<MatrixView<const S>> B) {
  RunningSum<Cuda> sum(context, A.rows);
  sum.add(A, B);
  return sum.value();
}

// linear_algebra.hpp

/// By cuBLAS; float in float, double in double, no TF32.
template <class S>
void gemm(const Context<Cuda>& context, Transpose a, Transpose b, S alpha, std::type_identity_t<MatrixView<const S>> A,
          std::type_identity_t<MatrixView<const S>> B, S beta, std::type_identity_t<MatrixView<S>> C);
/// As one batch of square tiles.
template <class S>
void gemm_upper(const Context<Cuda>& context, Transpose a, Transpose b, S alpha,
                std::type_identity_t<MatrixView<const S>> A, std::type_identity_t<MatrixView<const S>> B, S beta,
                std::type_identity_t<MatrixView<S>> C);
/// C += XᵀX (upper triangle) for 16-bit X [tokens, in]: exact products, sums in float, by matrix units.
template <class T>
void add_squares(const Context<Cuda>& context, MatrixView<const T> X, MatrixView<float> C);
template <class S>
void mirror_upper(const Context<Cuda>& context, MatrixView<S> A);
/// By cuSOLVER on the matrix turned around: with J the reversal, J A J = L Lᵀ gives R = J L J and U = J L⁻¹ J.
template <class S>
Index inverse_factor(const Context<Cuda>& context, MatrixView<S> A);

}  // namespace halftone
