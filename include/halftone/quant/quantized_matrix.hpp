// The result of every solver: codes and the grid that decodes them.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "halftone/core/matrix.hpp"
#include "halftone/quant/binary_grid.hpp"
#include "halftone/quant/grid.hpp"

namespace halftone {

/// Scales and zeros of a whole matrix.
struct UniformGrid {
  int bits = 4;
  bool symmetric = false;
  Index group_size = 0;  ///< columns of a full group, 1 .. in
  DType scale_type = DType::F16;
  Matrix<float> scales;        ///< [out, groups]; every value is one that scale_type holds
  Matrix<std::uint8_t> zeros;  ///< [out, groups], 0 .. 2^bits − 1; 2^(bits−1) throughout if symmetric

  Index groups() const { return scales.cols(); }
};

/// Columns that stay in 16 bit (OWQ's weak columns).
struct OutlierColumns {
  std::vector<std::int32_t> columns;  ///< ascending
  Matrix<float> values;               ///< [out, columns]; every value is one that dtype holds
  DType dtype = DType::F16;

  friend bool operator==(const OutlierColumns&, const OutlierColumns&) = default;
};

/// What a solve did, beside its result. Nothing falls back in silence: it is said here.
struct SolveReport {
  double relative_error = 0;  ///< tr((Q−W) H (Q−W)ᵀ) / tr(W H Wᵀ); of the plain weights where there are no statistics
  double damping = 0;         ///< λ / mean(diag H) that the factorisation needed
  int damping_steps = 0;   ///< rungs of the damping ladder above the one asked for
  Index dead_columns = 0;  ///< inputs that are zero in every calibration token
  Index tokens = 0;        ///< calibration tokens behind H
  double strength = 0;     ///< α or β of the asymmetric target that was used; 0: symmetric
  int refine_rounds = 0;   ///< rounds of refinement done
  double refine_gain = 0;  ///< share of the layer's objective that they won
  double seconds = 0;
  std::vector<std::string> notes;  ///< sentences: fallbacks, damping raised, too few tokens
};

/// W [out, in] as codes. Owns everything it holds. Columns stand in their original order whatever order was solved in.
struct QuantizedMatrix {
  Matrix<std::uint8_t> codes;  ///< [out, in], 0 .. 2^bits − 1; of a binary-coded grid bit i is the sign of plane i
  std::variant<UniformGrid, BinaryGrid> grid;
  std::vector<std::int32_t> group_index;  ///< [in] group of each column; empty: column / group_size
  OutlierColumns outliers;                ///< decode to their values, whatever their codes
  SolveReport report;

  Index rows() const { return codes.rows(); }
  Index cols() const { return codes.cols(); }
  bool binary_coded() const { return std::holds_alternative<BinaryGrid>(grid); }
  /// The grid as what it is; throws std::bad_variant_access for the other kind.
  const UniformGrid& uniform() const { return std::get<UniformGrid>(grid); }
  UniformGrid& uniform() { return std::get<UniformGrid>(grid); }
  const BinaryGrid& binary() const { return std::get<BinaryGrid>(grid); }
  BinaryGrid& binary() { return std::get<BinaryGrid>(grid); }

  int bits() const {
    return std::visit([](const auto& kind) { return kind.bits; }, grid);
  }
  Index groups() const {
    return std::visit([](const auto& kind) { return kind.groups(); }, grid);
  }
  /// Columns of a full group, 1 .. in.
  Index group_size() const {
    return std::visit([](const auto& kind) { return kind.group_size; }, grid);
  }
  DType scale_type() const {
    return std::visit([](const auto& kind) { return kind.scale_type; }, grid);
  }
  Index group_of(Index column) const {
    return group_index.empty() ? column / group_size() : group_index[static_cast<std::size_t>(column)];
  }
};

/// Exactly what every format decodes to, in float: scale · (code − zero) or Σ ±α + β, and the outlier columns.
/// [out, in]
Matrix<float> dequantize(const QuantizedMatrix& matrix);

/// True if both decode the same way: codes, parameters of the grid, groups and outlier columns. Reports are not
/// compared.
bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b);

/// Bits that the matrix needs beside names and headers: codes, scales and zeros (unless symmetric) or alphas and
/// biases, group index, outlier columns (their values and 32 bits of index each, on top of their codes). Codes are
/// counted as packed (bits · in · out), scales, alphas and biases in their stored type, zeros in `bits` each, group
/// index 32 each.
Index stored_bits(const QuantizedMatrix& matrix);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline Matrix<float> decoded(const QuantizedMatrix& matrix, const UniformGrid& grid) {
  Matrix<float> values(matrix.rows(), matrix.cols());
  for (Index r = 0; r < matrix.rows(); ++r)
    for (Index j = 0; j < matrix.cols(); ++j) {
      const Index g = matrix.group_of(j);
      values(r, j) =
          decode(static_cast<float>(matrix.codes(r, j)), grid.scales(r, g), static_cast<float>(grid.zeros(r, g)));
    }
  return values;
}

inline Matrix<float> decoded(const QuantizedMatrix& matrix, const BinaryGrid& grid) {
  return dequantize(matrix.codes, grid, matrix.group_index);
}

}  // namespace detail

inline Matrix<float> dequantize(const QuantizedMatrix& matrix) {
  Matrix<float> values = std::visit([&](const auto& grid) { return detail::decoded(matrix, grid); }, matrix.grid);
  const std::vector<std::int32_t>& columns = matrix.outliers.columns;
  for (Index r = 0; r < matrix.rows(); ++r)
    for (std::size_t k = 0; k < columns.size(); ++k)
      values(r, columns[k]) = matrix.outliers.values(r, static_cast<Index>(k));
  return values;
}

}  // namespace halftone
