#include "halftone/quant/quantized_matrix.hpp"

#include <algorithm>

namespace halftone {

Matrix<float> dequantize(const QuantizedMatrix& matrix) {
  Matrix<float> values(matrix.rows(), matrix.cols());
  for (Index r = 0; r < matrix.rows(); ++r)
    for (Index j = 0; j < matrix.cols(); ++j) {
      const Index g = matrix.group_of(j);
      values(r, j) = decode(static_cast<float>(matrix.codes(r, j)), matrix.grid.scales(r, g),
                            static_cast<float>(matrix.grid.zeros(r, g)));
    }
  const std::vector<std::int32_t>& columns = matrix.outliers.columns;
  for (Index r = 0; r < matrix.rows(); ++r)
    for (std::size_t k = 0; k < columns.size(); ++k)
      values(r, columns[k]) = matrix.outliers.values(r, static_cast<Index>(k));
  return values;
}

bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  if (!(a.codes == b.codes && a.grid.scales == b.grid.scales && a.grid.zeros == b.grid.zeros &&
        a.outliers == b.outliers))
    return false;
  for (Index j = 0; j < a.cols(); ++j)
    if (a.group_of(j) != b.group_of(j)) return false;
  return true;
}

Index stored_bits(const QuantizedMatrix& matrix) {
  const UniformGrid& grid = matrix.grid;
  const Index codes = matrix.codes.size() * grid.bits;
  const Index scales = grid.scales.size() * dtype_bits(grid.scale_type);
  const Index zeros = grid.symmetric ? 0 : grid.scales.size() * grid.bits;
  const Index index = static_cast<Index>(matrix.group_index.size() + matrix.outliers.columns.size()) * 32;
  const Index outliers = matrix.outliers.values.size() * dtype_bits(matrix.outliers.dtype);
  return codes + scales + zeros + index + outliers;
}

}  // namespace halftone
