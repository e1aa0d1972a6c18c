#include "pipeline/xxh64.hpp"

#include <algorithm>  // min
#include <array>
#include <bit>      // rotl
#include <cstdio>   // snprintf
#include <cstring>  // memcpy
#include <vector>

#include "halftone/core/parallel.hpp"

namespace halftone {
namespace {

constexpr std::uint64_t p1 = 0x9E3779B185EBCA87u, p2 = 0xC2B2AE3D27D4EB4Fu, p3 = 0x165667B19E3779F9u,
                        p4 = 0x85EBCA77C2B2AE63u, p5 = 0x27D4EB2F165667C5u;

template <class Word>
Word load(const std::byte* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

std::uint64_t round(std::uint64_t lane, std::uint64_t word) noexcept { return std::rotl(lane + word * p2, 31) * p1; }

}  // namespace

std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t hash = seed + p5;
  if (left >= 32) {
    std::array<std::uint64_t, 4> lanes{seed + p1 + p2, seed + p2, seed, seed - p1};
    for (; left >= 32; at += 32, left -= 32)
      for (std::size_t i = 0; i < 4; ++i) lanes[i] = round(lanes[i], load<std::uint64_t>(at + 8 * i));
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (std::uint64_t lane : lanes) hash = (hash ^ round(0, lane)) * p1 + p4;
  }
  hash += bytes.size();
  for (; left >= 8; at += 8, left -= 8) hash = std::rotl(hash ^ round(0, load<std::uint64_t>(at)), 27) * p1 + p4;
  for (; left >= 4; at += 4, left -= 4) hash = std::rotl(hash ^ load<std::uint32_t>(at) * p1, 23) * p2 + p3;
  for (; left > 0; ++at, --left) hash = std::rotl(hash ^ std::to_integer<std::uint64_t>(*at) * p5, 11) * p1;
  hash = (hash ^ (hash >> 33)) * p2;
  hash = (hash ^ (hash >> 29)) * p3;
  return hash ^ (hash >> 32);
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
