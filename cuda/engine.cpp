#include "engine.hpp"

#include <algorithm>  // max, min
#include <limits>

#include "libraries.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {
namespace {

/// Sizes are rounded up so that blocks fit again: 512 bytes, 2 MiB for large ones.
Index rounded_up(Index bytes) {
  const Index unit = bytes < (Index{1} << 20) ? 512 : Index{1} << 21;
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

CudaArena::~CudaArena() {
  for (const Block& block : blocks_) device_->release(kind_, block.memory);
}

/// The smallest idle block of at least `bytes` and at most twice that.
void* CudaArena::reuse(Index bytes) noexcept {
  Block* best = nullptr;
  for (Block& block : blocks_)
    if (block.idle && block.bytes >= bytes && block.bytes / 2 <= bytes && (!best || block.bytes < best->bytes))
      best = &block;
  if (!best) return nullptr;
  best->idle = false;
  in_use_ += best->bytes;
  return best->memory;
}

void* CudaArena::grow(Index bytes) {
  if (bytes > limit_ - held_) return nullptr;
  blocks_.reserve(blocks_.size() + 1);  // throws here or not at all
  void* const memory = device_->allocate(kind_, bytes);
  if (!memory) return nullptr;
  blocks_.push_back({memory, bytes, false});
  held_ += bytes;
  in_use_ += bytes;
  return memory;
}

void CudaArena::release_idle() noexcept {
  const auto idle = [](const Block& block) { return block.idle; };
  for (const Block& block : blocks_)
    if (block.idle) {
      device_->release(kind_, block.memory);
      held_ -= block.bytes;
    }
  blocks_.erase(std::remove_if(blocks_.begin(), blocks_.end(), idle), blocks_.end());
}

void* CudaArena::take(Index bytes) {
  const char* const what = kind_ == CudaMemory::Device ? " bytes of device memory" : " bytes of pinned memory";
  require(bytes <= limit_, Status::OutOfMemory, "cuda context: ", bytes, what, " wanted, the limit is ", limit_);
  const Index size = std::min(rounded_up(bytes), std::max(bytes, limit_));
  void* memory = reuse(size);
  if (!memory) memory = grow(size);
  if (!memory) {
    device_->synchronize();  // nothing may still run on what is released
    release_idle();
    memory = grow(size);
  }
  if (!memory)
    fail(Status::OutOfMemory, "cuda context: ", size, what, " wanted; ", in_use_, " are in use, the limit is ", limit_,
         ", the device has ", device_->free_bytes(), " left");
  peak_ = std::max(peak_, in_use_);
  return memory;
}

void CudaArena::give(void* memory) noexcept {
  for (Block& block : blocks_)
    if (block.memory == memory) {
      block.idle = true;
      in_use_ -= block.bytes;
      return;
    }
}

CudaEngine::CudaEngine(const CudaOptions& options)
    : device_(options.device),
      arena_(device_, CudaMemory::Device, options.memory_limit > 0 ? options.memory_limit : device_.free_bytes()),
      pinned_(device_, CudaMemory::Pinned, std::numeric_limits<Index>::max()),
      libraries_(std::make_unique<CudaLibraries>(device_, arena_)) {}

CudaEngine::~CudaEngine() = default;

namespace device {

void* take(CudaEngine& engine, CudaMemory kind, Index bytes) { return engine.arena(kind).take(bytes); }
void give(CudaEngine& engine, CudaMemory kind, void* memory) noexcept { engine.arena(kind).give(memory); }
void copy(CudaEngine& engine, void* to, Index to_stride, const void* from, Index from_stride, Index row_bytes,
          Index rows, Transfer way) {
  engine.device().copy(to, to_stride, from, from_stride, row_bytes, rows, way);
}

}  // namespace device
}  // namespace HALFTONE_DEVICE

Context<Cuda>::Context(const CudaOptions& options) : engine_(nullptr) {
  require(options.memory_limit >= 0, Status::InvalidArgument, "cuda context: memory_limit is ", options.memory_limit,
          ", wanted 0 or more");
  engine_ = new CudaEngine(options);
}
Context<Cuda>::~Context() { delete engine_; }
const CudaDeviceInfo& Context<Cuda>::info() const noexcept { return engine_->device().info(); }
Index Context<Cuda>::memory_limit() const noexcept { return engine_->arena().limit(); }
Index Context<Cuda>::memory_in_use() const noexcept { return engine_->arena().in_use(); }
Index Context<Cuda>::memory_peak() const noexcept { return engine_->arena().peak(); }
void Context<Cuda>::synchronize() const { engine_->device().synchronize(); }

}  // namespace halftone
