#include "halftone/quant/quantized_matrix.hpp"

#include <algorithm>

namespace halftone {

namespace {

Matrix<float> decoded(const QuantizedMatrix& matrix, const UniformGrid& grid) {
  Matrix<float> values(matrix.rows(), matrix.cols());
  for (Index r = 0; r < matrix.rows(); ++r)
    for (Index j = 0; j < matrix.cols(); ++j) {
      const Index g = matrix.group_of(j);
      values(r, j) =
          decode(static_cast<float>(matrix.codes(r, j)), grid.scales(r, g), static_cast<float>(grid.zeros(r, g)));
    }
  return values;
}

Matrix<float> decoded(const QuantizedMatrix& matrix, const BinaryGrid& grid) {
  return dequantize(matrix.codes, grid, matrix.group_index);
}

bool same(const UniformGrid& a, const UniformGrid& b) { return a.scales == b.scales && a.zeros == b.zeros; }
bool same(const BinaryGrid& a, const BinaryGrid& b) { return a.alphas == b.alphas && a.biases == b.biases; }

Index parameter_bits(const UniformGrid& grid) {
  return grid.scales.size() * (dtype_bits(grid.scale_type) + (grid.symmetric ? 0 : grid.bits));
}
Index parameter_bits(const BinaryGrid& grid) {
  return (grid.alphas.size() + grid.biases.size()) * dtype_bits(grid.scale_type);
}

}  // namespace

Matrix<float> dequantize(const QuantizedMatrix& matrix) {
  Matrix<float> values = std::visit([&](const auto& grid) { return decoded(matrix, grid); }, matrix.grid);
  const std::vector<std::int32_t>& columns = matrix.outliers.columns;
  for (Index r = 0; r < matrix.rows(); ++r)
    for (std::size_t k = 0; k < columns.size(); ++k)
      values(r, columns[k]) = matrix.outliers.values(r, static_cast<Index>(k));
  return values;
}

bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  if (!(a.codes == b.codes && a.outliers == b.outliers && a.binary_coded() == b.binary_coded() &&
        (a.binary_coded() ? same(a.binary(), b.binary()) : same(a.uniform(), b.uniform()))))
    return false;
  for (Index j = 0; j < a.cols(); ++j)
    if (a.group_of(j) != b.group_of(j)) return false;
  return true;
}

Index stored_bits(const QuantizedMatrix& matrix) {
  const Index codes = matrix.codes.size() * matrix.bits();
  const Index parameters = std::visit([](const auto& grid) { return parameter_bits(grid); }, matrix.grid);
  const Index index = static_cast<Index>(matrix.group_index.size() + matrix.outliers.columns.size()) * 32;
  const Index outliers = matrix.outliers.values.size() * dtype_bits(matrix.outliers.dtype);
  return codes + parameters + index + outliers;
}

}  // namespace halftone
