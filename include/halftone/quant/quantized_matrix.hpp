// The result of every solver: integer codes and the grid that decodes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "halftone/core/matrix.hpp"
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
  double seconds = 0;
  std::vector<std::string> notes;  ///< sentences: fallbacks, damping raised, too few tokens
};

/// W [out, in] as codes. Owns everything it holds. Columns stand in their original order whatever order was solved in.
struct QuantizedMatrix {
  Matrix<std::uint8_t> codes;  ///< [out, in], 0 .. 2^bits − 1
  UniformGrid grid;
  std::vector<std::int32_t> group_index;  ///< [in] group of each column; empty: column / group_size
  OutlierColumns outliers;                ///< decode to their values, whatever their codes (which decode to 0)
  SolveReport report;

  Index rows() const { return codes.rows(); }
  Index cols() const { return codes.cols(); }
  Index group_of(Index column) const {
    return group_index.empty() ? column / grid.group_size : group_index[static_cast<std::size_t>(column)];
  }
};

/// Exactly what every format decodes to: scale · (code − zero) in float, and the outlier columns. [out, in]
Matrix<float> dequantize(const QuantizedMatrix& matrix);

/// True if both decode the same way: codes, scales, zeros, groups and outlier columns. Reports are not compared.
bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b);

/// Bits that the matrix needs beside names and headers: codes, scales, zeros (unless symmetric), group index, outlier
/// columns (their values and 32 bits of index each, on top of their codes).
/// Codes are counted as packed (bits · in · out), scales in their stored type, zeros in `bits` each, group index 32
/// each.
Index stored_bits(const QuantizedMatrix& matrix);

}  // namespace halftone
