// dequantize() (quantized_matrix.hpp) into device memory.
#pragma once

#include "halftone/backend/cuda.hpp"
#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

/// The same values, bit for bit. Codes and grid are copied up: a quarter of the values' bytes and a little more.
/// Throws Status::OutOfMemory, Status::Device.
CudaMatrix<float> dequantize(const Context<Cuda>& context, const QuantizedMatrix& matrix);

}  // namespace halftone
