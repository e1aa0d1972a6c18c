// What a build without CUDA says to a quantizer that asks for it.
#include "halftone/solver/cuda_quantizer.hpp"

namespace halftone {

std::unique_ptr<Quantizer> make_quantizer(const CudaOptions& context, std::string_view method, const OptionMap&) {
  fail(Status::Unsupported, method, " on cuda:", context.device, ": ", cuda_devices_text());
}

}  // namespace halftone
