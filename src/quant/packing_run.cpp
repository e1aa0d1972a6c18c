#include "quant/packing_run.hpp"

#include <algorithm>  // min
#include <bit>        // endian
#include <cstring>    // memcpy

#include "halftone/core/error.hpp"
#include "halftone/quant/packing.hpp"

namespace halftone::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "words are stored as they lie in memory");

/// Eight codes, one a byte, to the lowest 8·bits bits: neighbours are joined three times.
template <int bits>
std::uint64_t squeeze(std::uint64_t x) {
  x = (x & 0x00ff00ff00ff00ff) | (x & 0xff00ff00ff00ff00) >> (8 - bits);
  x = (x & 0x0000ffff0000ffff) | (x & 0xffff0000ffff0000) >> (16 - 2 * bits);
  return (x & 0x00000000ffffffff) | (x & 0xffffffff00000000) >> (32 - 4 * bits);
}

/// Inverse of squeeze; bits above 8·bits are ignored.
template <int bits>
std::uint64_t spread(std::uint64_t x) {
  constexpr std::uint64_t four = (std::uint64_t{1} << 4 * bits) - 1;
  constexpr std::uint64_t two = ((std::uint64_t{1} << 2 * bits) - 1) * 0x0000000100000001;
  constexpr std::uint64_t one = ((std::uint64_t{1} << bits) - 1) * 0x0001000100010001;
  x = (x & four) | (x & four << 4 * bits) << (32 - 4 * bits);
  x = (x & two) | (x & two << 2 * bits) << (16 - 2 * bits);
  return (x & one) | (x & one << bits) << (8 - bits);
}

/// `count` codes to their `bytes` bytes, eight codes to `bits` bytes at a time; what is left of the bytes is zero.
template <int bits>
std::uint64_t pack_eights(const std::uint8_t* codes, Index count, std::byte* target, Index bytes) {
  std::uint64_t seen = 0;
  Index j = 0, at = 0;
  for (; j + 8 <= count; j += 8, at += bits) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, codes + j, 8);
    seen |= eight;
    eight = squeeze<bits>(eight);
    std::memcpy(target + at, &eight, bits);
  }
  std::uint64_t x = 0;
  if (at == bytes) return seen;
  if (j < count) std::memcpy(&x, codes + j, static_cast<std::size_t>(count - j));
  seen |= x;
  x = squeeze<bits>(x);
  std::memset(target + at, 0, static_cast<std::size_t>(bytes - at));
  std::memcpy(target + at, &x, static_cast<std::size_t>(std::min<Index>(8, bytes - at)));
  return seen;
}

/// Inverse of pack_eights.
template <int bits>
void unpack_eights(const std::byte* source, Index bytes, Index count, std::uint8_t* codes) {
  Index j = 0, at = 0;
  for (; j + 8 <= count && at + 8 <= bytes; j += 8, at += bits) {
    std::uint64_t x = 0;
    std::memcpy(&x, source + at, 8);  // more than the `bits` bytes, in one load
    x = spread<bits>(x);
    std::memcpy(codes + j, &x, 8);
  }
  for (; j < count; j += 8, at += bits) {
    std::uint64_t x = 0;
    std::memcpy(&x, source + at, static_cast<std::size_t>(std::min<Index>(8, bytes - at)));
    x = spread<bits>(x);
    std::memcpy(codes + j, &x, static_cast<std::size_t>(std::min<Index>(8, count - j)));
  }
}

/// Calls body with bits as a constant.
template <class Body>
auto with_bits(int bits, Body&& body) {
  switch (bits) {
    case 2: return body(std::integral_constant<int, 2>{});
    case 3: return body(std::integral_constant<int, 3>{});
    case 4: return body(std::integral_constant<int, 4>{});
    case 5: return body(std::integral_constant<int, 5>{});
    case 6: return body(std::integral_constant<int, 6>{});
    case 7: return body(std::integral_constant<int, 7>{});
    case 8: return body(std::integral_constant<int, 8>{});
    default: fail(Status::InvalidArgument, "packing: codes of ", bits, " bits, wanted 2 .. 8");
  }
}

}  // namespace

PackingIsa best_packing_isa() noexcept {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2") != 0;
  return avx2 ? PackingIsa::Avx2 : PackingIsa::Portable;
#else
  return PackingIsa::Portable;
#endif
}

std::uint64_t pack_run([[maybe_unused]] PackingIsa isa, int bits, const std::uint8_t* codes, Index count,
                       std::byte* target, [[maybe_unused]] Index room) {
  std::uint64_t seen = 0;
  Index done = 0;
#if defined(__x86_64__)
  if (isa == PackingIsa::Avx2) done = pack_blocks_avx2(bits, codes, count, target, room, seen);
#endif
  const Index at = done / 8 * bits, bytes = packed_words(count, bits) * 4;
  return seen |
         with_bits(bits, [&](auto b) { return pack_eights<b>(codes + done, count - done, target + at, bytes - at); });
}

void unpack_run([[maybe_unused]] PackingIsa isa, int bits, const std::byte* source, [[maybe_unused]] Index room,
                Index count, std::uint8_t* codes) {
  Index done = 0;
#if defined(__x86_64__)
  if (isa == PackingIsa::Avx2) done = unpack_blocks_avx2(bits, source, room, count, codes);
#endif
  const Index at = done / 8 * bits, bytes = packed_words(count, bits) * 4;
  with_bits(bits, [&](auto b) { unpack_eights<b>(source + at, bytes - at, count - done, codes + done); });
}

}  // namespace halftone::detail
