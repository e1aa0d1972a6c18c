#include "halftone/quant/cuda_dequantize.hpp"

#include "halftone/backend/cuda_primitives.hpp"

namespace halftone {
namespace {

/// [out, n] of a grid as the device's cells have it: [n, out] in float.
template <class T>
CudaMatrix<float> turned(const Context<Cuda>& context, const Matrix<T>& grid) {
  Matrix<float> turned(grid.cols(), grid.rows());
  for (Index r = 0; r < grid.rows(); ++r)
    for (Index g = 0; g < grid.cols(); ++g) turned(g, r) = static_cast<float>(grid(r, g));
  return context.upload(std::as_const(turned).view());
}

}  // namespace

CudaMatrix<float> dequantize(const Context<Cuda>& context, const QuantizedMatrix& matrix) {
  std::vector<std::int32_t> group(static_cast<std::size_t>(matrix.cols()));
  for (Index j = 0; j < matrix.cols(); ++j)
    group[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(matrix.group_of(j));
  const auto codes = context.upload(matrix.codes.view());
  auto values = context.allocate<float>(matrix.rows(), matrix.cols());
  if (matrix.binary_coded()) {
    const auto alphas = turned(context, matrix.binary().alphas), biases = turned(context, matrix.binary().biases);
    decode_block(context, alphas.view(), biases.view(), matrix.bits(), group.data(), codes.view(), values.view());
  } else {
    const auto scales = turned(context, matrix.uniform().scales), zeros = turned(context, matrix.uniform().zeros);
    decode_block(context, UniformCells<float>{scales.view(), zeros.view(), group.data(), 0}, codes.view(),
                 values.view());
  }
  if (matrix.outliers.columns.empty()) return values;
  const auto outliers = context.upload(matrix.outliers.values.view());
  for (std::size_t i = 0; i < matrix.outliers.columns.size(); ++i)
    context.transfer(outliers.view().middle_cols(static_cast<Index>(i), 1),
                     values.view().middle_cols(matrix.outliers.columns[i], 1), Transfer::Within);
  return values;
}

}  // namespace halftone
