#include "device.hpp"

#include <cuda_runtime_api.h>

#include "check.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {
namespace {

/// The oldest compute capability that the kernels are built for.
constexpr int oldest_major = 8;

CudaDeviceInfo info_of(int ordinal) {
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, ordinal), "cuda: asking for a device's properties");
  CudaDeviceInfo info{ordinal,
                      properties.name,
                      properties.major,
                      properties.minor,
                      properties.multiProcessorCount,
                      static_cast<Index>(properties.totalGlobalMem),
                      {}};
  if (info.major < oldest_major)
    info.problem = concat("compute capability ", info.major, ".", info.minor, ", wanted ", oldest_major, ".0 or newer");
  return info;
}

/// Why a call that asks for devices failed.
std::string problem_of(cudaError_t error) {
  if (error == cudaErrorInsufficientDriver) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0) return "no NVIDIA driver is loaded";
    return concat("the NVIDIA driver is too old: it runs CUDA ", driver / 1000, ".", driver % 1000 / 10, ", wanted ",
                  CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10);
  }
  if (error == cudaErrorNoDevice) return "the NVIDIA driver shows no device";
  return concat("the NVIDIA driver says: ", cudaGetErrorString(error));
}

}  // namespace

CudaDevices cuda_devices() {
  CudaDevices found;
  int count = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    cudaGetLastError();  // it would be the next call's
    found.problem = problem_of(error);
    return found;
  }
  bool usable = false;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    found.devices.push_back(info_of(ordinal));
    usable = usable || found.devices.back().problem.empty();
  }
  if (count == 0) found.problem = "the NVIDIA driver shows no device";
  if (count > 0 && !usable) found.problem = concat("cuda:0 has ", found.devices.front().problem);
  return found;
}

CudaDevice::CudaDevice(int ordinal) {
  const CudaDevices found = cuda_devices();
  if (found.devices.empty()) fail(Status::Unsupported, "cuda context: ", found.problem);
  require(ordinal >= 0 && ordinal < static_cast<int>(found.devices.size()), Status::InvalidArgument,
          "cuda context: device is ", ordinal, ", wanted 0 .. ", found.devices.size() - 1);
  info_ = found.devices[static_cast<std::size_t>(ordinal)];
  require(info_.problem.empty(), Status::Unsupported, "cuda context: cuda:", ordinal, " has ", info_.problem);
  make_current();
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cuda context: making a stream");
  stream_ = stream;
}

void CudaDevice::make_current() { check_cuda(cudaSetDevice(info_.ordinal), "cuda: taking the device"); }

CudaDevice::~CudaDevice() {
  cudaStreamSynchronize(static_cast<cudaStream_t>(stream_));
  cudaStreamDestroy(static_cast<cudaStream_t>(stream_));
}

Index CudaDevice::free_bytes() const {
  std::size_t free = 0, total = 0;
  check_cuda(cudaMemGetInfo(&free, &total), "cuda context: asking for free memory");
  return static_cast<Index>(free);
}

void* CudaDevice::allocate(CudaMemory kind, Index bytes) {
  make_current();
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  const cudaError_t error =
      kind == CudaMemory::Device ? cudaMalloc(&memory, size) : cudaHostAlloc(&memory, size, cudaHostAllocDefault);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check_cuda(error, "cuda context: taking memory");
  return memory;
}

void CudaDevice::release(CudaMemory kind, void* memory) noexcept {
  if (kind == CudaMemory::Device)
    cudaFree(memory);
  else
    cudaFreeHost(memory);
}

void CudaDevice::copy(void* to, Index to_stride, const void* from, Index from_stride, Index row_bytes, Index rows,
                      Transfer way) {
  if (row_bytes == 0 || rows == 0) return;
  make_current();
  const auto stream = static_cast<cudaStream_t>(stream_);
  const cudaMemcpyKind kind = way == Transfer::FromHost ? cudaMemcpyHostToDevice
                              : way == Transfer::Within ? cudaMemcpyDeviceToDevice
                                                        : cudaMemcpyDeviceToHost;
  const bool whole = rows == 1 || (to_stride == row_bytes && from_stride == row_bytes);
  if (whole)
    check_cuda(cudaMemcpyAsync(to, from, static_cast<std::size_t>(row_bytes * rows), kind, stream), "cuda: a copy");
  else
    check_cuda(cudaMemcpy2DAsync(to, static_cast<std::size_t>(to_stride), from, static_cast<std::size_t>(from_stride),
                                 static_cast<std::size_t>(row_bytes), static_cast<std::size_t>(rows), kind, stream),
               "cuda: a copy of a block");
  // From pageable memory the runtime returns once it has read the bytes; from pinned memory only this makes sure.
  if (way != Transfer::Within) synchronize();
}

void CudaDevice::zero(void* to, Index stride, Index row_bytes, Index rows) {
  if (row_bytes == 0 || rows == 0) return;
  make_current();
  const auto stream = static_cast<cudaStream_t>(stream_);
  if (rows == 1 || stride == row_bytes)  // a row may be longer than what the runtime takes for a pitch, 2 GiB
    check_cuda(cudaMemsetAsync(to, 0, static_cast<std::size_t>(row_bytes * rows), stream),
               "cuda: setting memory to zero");
  else
    check_cuda(cudaMemset2DAsync(to, static_cast<std::size_t>(stride), 0, static_cast<std::size_t>(row_bytes),
                                 static_cast<std::size_t>(rows), stream),
               "cuda: setting a block to zero");
}

void CudaDevice::synchronize() {
  check_cuda(cudaStreamSynchronize(static_cast<cudaStream_t>(stream_)), "cuda: waiting for the device");
}

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
