// What the copier asks of the CUDA runtime.
#include <cuda_runtime_api.h>

#include "check.hpp"
#include "engine.hpp"
#include "halftone/backend/cuda_copier.hpp"

namespace halftone {
namespace {

constexpr Index pinned_bytes = Index{32} << 20;

}  // namespace

Copier<Cuda>::Copier(const Context<Cuda>& context)
    : device_(context.info().ordinal), pinned_(context.allocate_host<char>(1, pinned_bytes)) {
  context.engine().device().make_current();
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda copier: making a stream");
  stream_ = stream;
}

Copier<Cuda>::~Copier() { cudaStreamDestroy(static_cast<cudaStream_t>(stream_)); }

void Copier<Cuda>::copy_pinned(const void* from, void* to, Index bytes, Transfer way) {
  const auto kind = way == Transfer::FromHost ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToHost;
  const auto stream = static_cast<cudaStream_t>(stream_);
  check_cuda(cudaSetDevice(device_), "cuda copier: taking the device");  // of the calling thread
  check_cuda(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), kind, stream), "cuda copier: a copy");
  check_cuda(cudaStreamSynchronize(stream), "cuda copier: waiting for a copy");
}

}  // namespace halftone
