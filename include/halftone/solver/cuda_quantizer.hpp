// Methods by name on a GPU. Results are the host's; statistics and weights the host's too, as everywhere behind a
// Quantizer, or the device's. Order, factor, grids and the column loop are the device's.
#pragma once

#include <memory>

#include "halftone/backend/cuda.hpp"
#include "halftone/solver/quantizer_of.hpp"

namespace halftone {

/// As make_quantizer on the CPU. prepare() copies the host's sums to the device, quantize() the host's weights; both
/// also throw Status::OutOfMemory and Status::Device. The context must outlive the quantizer and what it prepares.
std::unique_ptr<QuantizerOn<Cuda>> make_quantizer(const Context<Cuda>& context, std::string_view method,
                                                  const OptionMap& options);
/// The same with a context of its own, which lives as long as the quantizer. Also throws what Context<Cuda> throws.
std::unique_ptr<Quantizer> make_quantizer(const CudaOptions& context, std::string_view method,
                                          const OptionMap& options);

}  // namespace halftone
