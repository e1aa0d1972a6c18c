// Binary-coded grids as they are stored.
#include "halftone/quant/binary_grid.hpp"

#include <cmath>  // ldexp

#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

BinaryGrid to_binary(const UniformGrid& grid) {
  require(grid.bits >= 1 && grid.bits <= max_planes, Status::InvalidArgument, "binary grid: a uniform grid has ",
          grid.bits, " bits, wanted 1 .. ", max_planes);
  BinaryGrid binary{grid.bits, grid.group_size, DType::F32,
                    Matrix<float>(grid.scales.rows(), grid.groups() * grid.bits),
                    Matrix<float>(grid.scales.rows(), grid.groups())};
  const float middle = 0.5f * static_cast<float>((1 << grid.bits) - 1);
  for (Index r = 0; r < grid.scales.rows(); ++r)
    for (Index g = 0; g < grid.groups(); ++g) {
      for (int i = 0; i < grid.bits; ++i)
        binary.alphas(r, g * grid.bits + i) = std::ldexp(grid.scales(r, g), grid.bits - 2 - i);
      binary.biases(r, g) = grid.scales(r, g) * (middle - static_cast<float>(grid.zeros(r, g)));
    }
  return binary;
}

Index stored_bits(const BinaryGrid& grid, Index cols) {
  const Index parameter = dtype_bits(grid.scale_type);
  return grid.alphas.rows() * (grid.bits * cols + grid.groups() * (grid.bits + 1) * parameter);
}

}  // namespace halftone
