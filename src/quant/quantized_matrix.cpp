#include "halftone/quant/quantized_matrix.hpp"

#include <algorithm>

namespace halftone {

namespace {

bool same(const UniformGrid& a, const UniformGrid& b) { return a.scales == b.scales && a.zeros == b.zeros; }
bool same(const BinaryGrid& a, const BinaryGrid& b) { return a.alphas == b.alphas && a.biases == b.biases; }

Index parameter_bits(const UniformGrid& grid) {
  return grid.scales.size() * (dtype_bits(grid.scale_type) + (grid.symmetric ? 0 : grid.bits));
}
Index parameter_bits(const BinaryGrid& grid) {
  return (grid.alphas.size() + grid.biases.size()) * dtype_bits(grid.scale_type);
}

}  // namespace

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
