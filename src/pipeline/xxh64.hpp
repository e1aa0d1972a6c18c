// XXH64 (Y. Collet, xxHash specification 0.1.1): tells files and blocks apart. Fast, not for adversaries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace halftone {

std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed = 0) noexcept;

/// Hash of a large run of bytes: XXH64 of the XXH64 values of its 4 MiB pieces, which `threads` threads compute.
std::uint64_t tree_hash(int threads, std::span<const std::byte> bytes);

/// Sixteen lower-case hexadecimal digits.
std::string hex(std::uint64_t value);

template <class T>
std::uint64_t hash_of(std::span<const T> items, std::uint64_t seed = 0) noexcept {
  return xxh64(std::as_bytes(items), seed);
}

}  // namespace halftone
