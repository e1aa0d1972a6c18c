// Methods by name on a GPU. Statistics, weights and results are the host's, as everywhere behind a Quantizer; order,
// factor, grids and the column loop are the device's.
#pragma once

#include <memory>

#include "halftone/backend/cuda.hpp"
#include "halftone/solver/quantizer.hpp"

namespace halftone {

/// As make_quantizer on the CPU. prepare() copies the sums to the device, quantize() the weights; both also throw
/// Status::OutOfMemory and Status::Device. The context must outlive the quantizer and what it prepares.
std::unique_ptr<Quantizer> make_quantizer(const Context<Cuda>& context, std::string_view method,
                                          const OptionMap& options);

}  // namespace halftone
