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
#include "halftone/backend/quantize.hpp"
#include "halftone/backend/refine.hpp"
#include "halftone/backend/refit.hpp"
#include "halftone/quant/packing.hpp"

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
void gather_square(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A, Index first_row,
                   const std::int32_t* order, const std::uint8_t* mask, S scale, MatrixView<S> out);
template <class S>
void set_zero(const Context<Cuda>& context, MatrixView<S> A);
template <class S>
void clear_lower(const Context<Cuda>& context, MatrixView<S> A);
template <class S>
std::vector<double> column_squares(const Context<Cuda>& context, MatrixView<const S> A);
template <class S, class T>
void gather_system(const Context<Cuda>& context, MatrixView<const S> H, Index first_row, const std::int32_t* order,
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
template <class T>
void narrow(const Context<Cuda>& context, MatrixView<const float> x, MatrixView<T> y);
template <class T>
void negate(const Context<Cuda>& context, MatrixView<T> x);
/// Of 16-bit A and B by matrix units.
template <class T>
requires(sizeof(T) == 2) void gemm(const Context<Cuda>& context, Transpose a, Transpose b, MatrixView<const T> A,
                                   MatrixView<const T> B, bool add, MatrixView<float> C);
/// C += XᵀX (upper triangle) for 16-bit X [tokens, in]: exact products, sums in float, by matrix units.
template <class T>
void add_squares(const Context<Cuda>& context, MatrixView<const T> X, MatrixView<float> C);
template <class S>
void mirror_upper(const Context<Cuda>& context, MatrixView<S> A);
/// By cuSOLVER on the matrix turned around: with J the reversal, J A J = L Lᵀ gives R = J L J and U = J L⁻¹ J.
template <class S>
Index inverse_factor(const Context<Cuda>& context, MatrixView<S> A, Index panel = one_panel);

// quantize.hpp, quant/grid_fit.hpp; importance, scales and zeros in device memory

template <class S>
void fit_uniform_grid(const Context<Cuda>& context, MatrixView<const S> W, const S* importance,
                      const GridOptions& options, S* scales, S* zeros);
template <class S>
void fit_uniform_grids(const Context<Cuda>& context, const GridOptions& options, MatrixView<const S> W,
                       const S* importance, MatrixView<S> scales, MatrixView<S> zeros);
/// Blocks of more than 128 columns are cut into such.
template <class S, template <class> class Cells>
void diffuse_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<const S> U, MatrixView<S> W,
                   MatrixView<S> E, MatrixView<std::uint8_t> codes, const SecondUpdate<S>& second = {});
template <class S, template <class> class Cells>
void round_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<S> W, MatrixView<std::uint8_t> codes);
template <class S, template <class> class Cells>
void clamp_block(const Context<Cuda>& context, const Cells<S>& cells, MatrixView<S> W);

// binary_grid.hpp, quant/binary_fit.hpp

template <class S>
void fit_binary_grid(const Context<Cuda>& context, const BinaryCandidates& candidates,
                     std::type_identity_t<MatrixView<const S>> W, const S* importance, const FittedBinary<S>& out);
template <class S>
void fit_binary_grids(const Context<Cuda>& context, const BinaryCandidates& candidates, const GridOptions& options,
                      std::type_identity_t<MatrixView<const S>> W, const S* importance, const FittedBinary<S>& out);

// refine.hpp; blocks of at most 128 columns

template <class S, template <class> class Cells>
Index descend_columns(const Context<Cuda>& context, const Cells<S>& cells, const RefinedColumns<S>& block);
template <class S, template <class> class Cells>
Index search_columns(const Context<Cuda>& context, const Cells<S>& cells, const RefinedColumns<S>& block,
                     const SearchEffort& effort = {});
template <class S>
void gather_rows(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A, const std::int32_t* rows,
                 MatrixView<S> out);
template <class S>
double residual_product(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> Q,
                        std::type_identity_t<MatrixView<const S>> T, std::type_identity_t<MatrixView<const S>> G);
template <class S>
void add_scaled_rows(const Context<Cuda>& context, MatrixView<S> A, const S* factors,
                     std::type_identity_t<MatrixView<const S>> B);
template <class S>
void scale_rows(const Context<Cuda>& context, MatrixView<S> A, const S* factors);

// refit.hpp

template <class S>
void centred_codes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const std::uint8_t>> codes,
                   const std::int32_t* columns, const S* zeros, MatrixView<S> out);
template <class S>
Index refit_scales(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> C,
                   std::type_identity_t<MatrixView<const S>> P, std::type_identity_t<MatrixView<const S>> G,
                   const std::int32_t* columns, ScaleType type, S* scales, S* steps, MatrixView<S> Q);
template <class S>
void sign_planes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const std::uint8_t>> codes,
                 const std::int32_t* columns, int bits, MatrixView<S> out);
template <class S>
Index refit_planes(const Context<Cuda>& context, std::type_identity_t<MatrixView<const S>> A,
                   std::type_identity_t<MatrixView<const S>> P, const S* ones_H,
                   std::type_identity_t<MatrixView<const S>> G, const RefittedBinary<S>& refitted, MatrixView<S> Q,
                   MatrixView<S> D);

// quant/packing.hpp, quant/quantized_matrix.hpp

void pack_codes(const Context<Cuda>& context, MatrixView<const std::uint8_t> codes, int bits, WordLayout layout,
                MatrixView<std::uint32_t> words);
void unpack_codes(const Context<Cuda>& context, MatrixView<const std::uint32_t> words, int bits, WordLayout layout,
                  MatrixView<std::uint8_t> codes);
/// What codes [rows, cols] decode to; group_of_position [cols] of the cells is on the host.
template <class S>
void decode_block(const Context<Cuda>& context, const UniformCells<S>& cells, MatrixView<const std::uint8_t> codes,
                  MatrixView<S> values);
/// The same of a binary-coded grid: alphas [groups · bits, rows], biases [groups, rows].
void decode_block(const Context<Cuda>& context, MatrixView<const float> alphas, MatrixView<const float> biases,
                  int bits, const std::int32_t* group_of_position, MatrixView<const std::uint8_t> codes,
                  MatrixView<float> values);

}  // namespace halftone
