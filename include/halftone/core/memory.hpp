// Host memory of matrices. Large blocks that are freed can be kept for the next ones: the system clears every page
// before it hands it out, and a run that frees and allocates the same few shapes over and over spends a tenth of its
// time there.
#pragma once

#include <algorithm>  // max
#include <bit>        // bit_width
#include <cstddef>
#include <mutex>
#include <new>  // align_val_t

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HALFTONE_POISONS
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HALFTONE_POISONS
#endif
#if defined(HALFTONE_POISONS)
#include <sanitizer/asan_interface.h>
#endif

namespace halftone {
namespace detail {

/// Doubly linked, circular: a lone link is its own neighbour.
struct MemoryLink {
  MemoryLink *before = this, *after = this;

  void insert_behind(MemoryLink& other) noexcept {
    before = &other;
    after = other.after;
    before->after = after->before = this;
  }
  void remove() noexcept {
    before->after = after;
    after->before = before;
  }
};
/// At the beginning of a block that nobody uses.
struct KeptMemory : MemoryLink {
  explicit KeptMemory(std::size_t size) : bytes(size) {}
  std::size_t bytes;
};

/// In use and kept together are at most this part more than was in use at once. Without any room, small blocks that
/// come and go drive out the large ones.
inline constexpr std::size_t kept_share = 16;

/// Large blocks of the process: how much of them is in use, and those kept for the next. Thread-safe.
class BlockStore {
 public:
  static BlockStore& of_process() {
    static BlockStore* const store = new BlockStore;  // matrices may live as long as the process
    return *store;
  }

  /// Memory of `bytes` bytes or up to a sixteenth more, 64-byte aligned; `bytes` becomes what it has. Throws
  /// std::bad_alloc.
  void* take(std::size_t& bytes) {
    const std::lock_guard lock(mutex_);
    if (KeptMemory* const block = find(bytes)) {
      bytes = block->bytes;
      in_use_ += bytes;
      return forget(*block);
    }
    const std::size_t most = std::max(most_in_use_, in_use_ + bytes);
    shrink(most + most / kept_share - in_use_ - bytes);
    void* memory = nullptr;
    try {
      memory = allocate(bytes);
    } catch (const std::bad_alloc&) {
      if (kept_ == 0) throw;
      shrink(0);
      memory = allocate(bytes);
    }
    in_use_ += bytes;
    most_in_use_ = most;
    return memory;
  }

  /// Takes back what take() gave, with the size that it said.
  void give(void* memory, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    in_use_ -= bytes;
    if (keepers_ == 0) return release(memory);
    auto* const block = new (memory) KeptMemory(bytes);
    block->insert_behind(bins_[bin_of(bytes)]);
    kept_ += bytes;
    poison(*block);
  }

  /// Bytes that matrices hold in large blocks, and bytes that are kept for the next.
  std::size_t in_use() {
    const std::lock_guard lock(mutex_);
    return in_use_;
  }
  std::size_t kept() {
    const std::lock_guard lock(mutex_);
    return kept_;
  }

  void add_keeper() {
    const std::lock_guard lock(mutex_);
    if (keepers_++ == 0) most_in_use_ = in_use_;
  }
  void remove_keeper() noexcept {
    const std::lock_guard lock(mutex_);
    if (--keepers_ == 0) shrink(0);
  }

 private:
  static constexpr int bins = 64 * 16;

  static void* allocate(std::size_t bytes) { return ::operator new (bytes, std::align_val_t{64}); }
  static void release(void* memory) noexcept { ::operator delete (memory, std::align_val_t{64}); }

  /// Sixteen to an octave: sizes of one bin differ by less than a sixteenth.
  static int bin_of(std::size_t bytes) {
    const int octave = static_cast<int>(std::bit_width(bytes)) - 5;
    return 16 * octave + static_cast<int>(bytes >> octave) - 16;
  }
  /// A block that will do, the youngest of the smallest bin; null if there is none.
  KeptMemory* find(std::size_t bytes) {
    const int bin = bin_of(bytes);
    for (const int b : {bin, bin + 1}) {
      MemoryLink& end = bins_[b];
      for (MemoryLink* link = end.after; link != &end; link = link->after) {
        auto* const block = static_cast<KeptMemory*>(link);
        if (block->bytes >= bytes && block->bytes - bytes <= bytes / 16) return block;
      }
    }
    return nullptr;
  }
  /// The block's memory, no longer kept.
  void* forget(KeptMemory& block) noexcept {
    block.remove();
    kept_ -= block.bytes;
    unpoison(block);
    return &block;
  }
  /// AddressSanitizer shall see who uses memory that was freed, all but the links.
  static void poison([[maybe_unused]] KeptMemory& block) noexcept {
#if defined(HALFTONE_POISONS)
    ASAN_POISON_MEMORY_REGION(&block + 1, block.bytes - sizeof block);
#endif
  }
  static void unpoison([[maybe_unused]] KeptMemory& block) noexcept {
#if defined(HALFTONE_POISONS)
    ASAN_UNPOISON_MEMORY_REGION(&block + 1, block.bytes - sizeof block);
#endif
  }
  /// Of the blocks that are kept, some: one of `bytes` bytes or little more or less, else a larger one, else the
  /// largest.
  KeptMemory& about(std::size_t bytes) {
    const int wanted = bin_of(bytes);
    for (int bin = wanted; bin < bins; ++bin)
      if (!empty(bin)) return *static_cast<KeptMemory*>(bins_[bin].before);
    for (int bin = wanted - 1;; --bin)
      if (!empty(bin)) return *static_cast<KeptMemory*>(bins_[bin].before);
  }
  bool empty(int bin) const { return bins_[bin].after == &bins_[bin]; }
  /// Gives blocks back to the system until no more than `limit` bytes are kept, as few bytes as that takes.
  void shrink(std::size_t limit) noexcept {
    while (kept_ > limit) release(forget(about(std::max<std::size_t>(kept_ - limit, 16))));
  }

  std::mutex mutex_;
  MemoryLink bins_[bins];  ///< in front of a bin's youngest block, behind its oldest
  std::size_t in_use_ = 0, kept_ = 0, most_in_use_ = 0;
  int keepers_ = 0;
};

/// Smaller ones are left to the system's allocator.
inline constexpr std::size_t large_block = std::size_t{1} << 16;

/// 64-byte aligned memory; `bytes` becomes what release_memory must be told. Throws std::bad_alloc.
inline void* take_memory(std::size_t& bytes) {
  return bytes >= large_block ? BlockStore::of_process().take(bytes) : ::operator new (bytes, std::align_val_t{64});
}
inline void release_memory(void* memory, std::size_t bytes) noexcept {
  if (bytes >= large_block)
    BlockStore::of_process().give(memory, bytes);
  else
    ::operator delete (memory, std::align_val_t{64});
}

}  // namespace detail

/// While one of these lives, the memory of freed matrices (64 KiB or more) is kept for the next that are about as
/// large. In use and kept together come to a sixteenth more, at most, than was in use at once since the first of them
/// was made; when the last one goes, all that is kept goes back to the system. Runs over a model make one; a program
/// that quantises one matrix after the other gains from making its own. Holds for the process, any number at a time,
/// from any thread.
class KeepMemory {
 public:
  KeepMemory() { detail::BlockStore::of_process().add_keeper(); }
  ~KeepMemory() { detail::BlockStore::of_process().remove_keeper(); }
  KeepMemory(const KeepMemory&) = delete;
  KeepMemory& operator=(const KeepMemory&) = delete;
};

}  // namespace halftone
