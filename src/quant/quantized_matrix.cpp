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
  return values;
}

bool same_codes(const QuantizedMatrix& a, const QuantizedMatrix& b) {
  if (!(a.codes == b.codes && a.grid.scales == b.grid.scales && a.grid.zeros == b.grid.zeros)) return false;
  for (Index j = 0; j < a.cols(); ++j)
    if (a.group_of(j) != b.group_of(j)) return false;
  return true;
}

Index stored_bits(const QuantizedMatrix& matrix) {
  const UniformGrid& grid = matrix.grid;
  const Index codes = matrix.codes.size() * grid.bits;
  const Index scales = grid.scales.size() * dtype_bits(grid.scale_type);
  const Index zeros = grid.symmetric ? 0 : grid.scales.size() * grid.bits;
  return codes + scales + zeros + static_cast<Index>(matrix.group_index.size()) * 32;
}

}  // namespace halftone
