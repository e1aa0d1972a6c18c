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

Matrix<float> dequantize(MatrixView<const std::uint8_t> codes, const BinaryGrid& grid,
                         std::span<const std::int32_t> group_of_column) {
  require(grid.bits >= 1 && grid.bits <= max_planes && grid.alphas.rows() == codes.rows &&
              grid.biases.rows() == codes.rows && grid.alphas.cols() == grid.groups() * grid.bits,
          Status::ShapeMismatch, "binary grid: alphas are ", grid.alphas.rows(), " x ", grid.alphas.cols(), " for ",
          codes.rows, " rows, ", grid.groups(), " groups and ", grid.bits, " planes");
  require(group_of_column.empty() ? grid.group_size > 0 && (codes.cols - 1) / grid.group_size < grid.groups()
                                  : static_cast<Index>(group_of_column.size()) == codes.cols,
          Status::ShapeMismatch, "binary grid: ", codes.cols, " columns for ", grid.groups(), " groups of ",
          grid.group_size, " columns and ", group_of_column.size(), " group indices");
  Matrix<float> values(codes.rows, codes.cols);
  for (Index r = 0; r < codes.rows; ++r)
    for (Index c = 0; c < codes.cols; ++c) {
      const Index g = group_of_column.empty() ? c / grid.group_size : group_of_column[static_cast<std::size_t>(c)];
      values(r, c) = decode_binary(codes(r, c), grid.alphas.row(r) + g * grid.bits, 1, grid.biases(r, g), grid.bits);
    }
  return values;
}

Index stored_bits(const BinaryGrid& grid, Index cols) {
  const Index parameter = dtype_bits(grid.scale_type);
  return grid.alphas.rows() * (grid.bits * cols + grid.groups() * (grid.bits + 1) * parameter);
}

}  // namespace halftone
