#include "pipeline/xxh64.hpp"

#include <xxhash.h>

#include <algorithm>  // min
#include <cstdio>     // snprintf
#include <vector>

#include "halftone/core/parallel.hpp"

namespace halftone {

std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  return XXH64(bytes.data(), bytes.size(), seed);
}

std::uint64_t tree_hash(int threads, std::span<const std::byte> bytes) {
  constexpr std::size_t piece = std::size_t{4} << 20;
  std::vector<std::uint64_t> leaves((bytes.size() + piece - 1) / piece);
  parallel_for(threads, static_cast<Index>(leaves.size()), [&](Index i) {
    const std::size_t first = static_cast<std::size_t>(i) * piece;
    leaves[static_cast<std::size_t>(i)] = xxh64(bytes.subspan(first, std::min(piece, bytes.size() - first)));
  });
  return hash_of(std::span<const std::uint64_t>(leaves));
}

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace halftone
