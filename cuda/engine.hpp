// What stands behind Context<Cuda>: the device, its memory, its libraries.
#pragma once

#include <memory>
#include <vector>

#include "device.hpp"

namespace halftone {
inline namespace HALFTONE_DEVICE {

/// Memory of one kind up to a limit. What is given back is kept and handed out again: everything runs on one stream, so
/// that a block's next user starts after its last one has finished.
class CudaArena {
 public:
  /// `limit`: bytes.
  CudaArena(CudaDevice& device, CudaMemory kind, Index limit) : device_(&device), kind_(kind), limit_(limit) {}
  ~CudaArena();
  CudaArena(const CudaArena&) = delete;
  CudaArena& operator=(const CudaArena&) = delete;

  /// Throws Status::OutOfMemory where limit or device have no more, with what is idle already given up.
  void* take(Index bytes);
  void give(void* memory) noexcept;

  Index limit() const noexcept { return limit_; }
  Index in_use() const noexcept { return in_use_; }
  Index peak() const noexcept { return peak_; }

 private:
  struct Block {
    void* memory;
    Index bytes;
    bool idle;
  };

  void* reuse(Index bytes) noexcept;
  void* grow(Index bytes);
  void release_idle() noexcept;

  CudaDevice* device_;
  CudaMemory kind_;
  Index limit_;
  Index held_ = 0, in_use_ = 0, peak_ = 0;  // bytes of all blocks, and of those not idle
  std::vector<Block> blocks_;
};

class CudaLibraries;  // libraries.hpp

class CudaEngine {
 public:
  explicit CudaEngine(const CudaOptions& options);
  ~CudaEngine();

  CudaDevice& device() noexcept { return device_; }
  CudaArena& arena() noexcept { return arena_; }
  CudaArena& arena(CudaMemory kind) noexcept { return kind == CudaMemory::Device ? arena_ : pinned_; }
  CudaLibraries& libraries() noexcept { return *libraries_; }

 private:
  CudaDevice device_;
  CudaArena arena_, pinned_;
  std::unique_ptr<CudaLibraries> libraries_;
};

}  // namespace HALFTONE_DEVICE
}  // namespace halftone
