// Blocks of 32 codes with AVX2: 12 instructions to pack, 14 to unpack, so that both loops wait for memory.
#include "quant/packing_run.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

namespace halftone::detail {
namespace {

#define HALFTONE_AVX2 __attribute__((target("avx2")))

/// 16 bytes, twice: a shuffle is the same in both halves of a register.
struct alignas(32) Shuffle {
  std::int8_t bytes[32] = {};
};

/// The lowest `bits` bytes of each 8, pushed together at the start of each half; the rest zero.
constexpr Shuffle pushed_together(int bits) {
  Shuffle shuffle;
  for (int i = 0; i < 32; ++i) {
    const int place = i % 16;
    shuffle.bytes[i] = static_cast<std::int8_t>(place >= 2 * bits ? -1 : place < bits ? place : 8 + place - bits);
  }
  return shuffle;
}

/// To each 4 bytes the bytes of a half that hold its four codes, which begin at bit 4·bits·k.
constexpr Shuffle pulled_apart(int bits) {
  Shuffle shuffle;
  for (int i = 0; i < 32; ++i) shuffle.bytes[i] = static_cast<std::int8_t>(4 * bits * (i % 16 / 4) / 8 + i % 4);
  return shuffle;
}

template <int bits>
HALFTONE_AVX2 Index pack_blocks(const std::uint8_t* codes, Index count, std::byte* target, Index room,
                                std::uint64_t& seen) {
  static constexpr Shuffle shuffle_bytes = pushed_together(bits);
  const __m256i shuffle = _mm256_load_si256(reinterpret_cast<const __m256i*>(shuffle_bytes.bytes));
  const __m256i low32 = _mm256_set1_epi64x(0xffffffff), low8 = _mm256_set1_epi16(0xff);
  const __m256i join2 = _mm256_set1_epi16(static_cast<short>(1 | (1 << bits & 0x7f) << 8));
  const __m256i join4 = _mm256_set1_epi32(1 | 1 << (16 + 2 * bits));
  __m256i all = _mm256_setzero_si256();
  Index done = 0;
  // A block is 4·bits bytes, of which each half stores 2·bits and up to 16 for the moment.
  for (Index at = 0; done + 32 <= count && at + 2 * bits + 16 <= room; done += 32, at += 4 * bits) {
    __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + done));
    all = _mm256_or_si256(all, x);
    if constexpr (bits < 7)
      x = _mm256_maddubs_epi16(x, join2);  // pairs: a + b·2^bits; the factor is a signed byte
    else
      x = _mm256_or_si256(_mm256_and_si256(x, low8), _mm256_slli_epi16(_mm256_srli_epi16(x, 8), bits));
    x = _mm256_madd_epi16(x, join4);  // fours
    x = _mm256_or_si256(_mm256_and_si256(x, low32), _mm256_slli_epi64(_mm256_srli_epi64(x, 32), 4 * bits));
    x = _mm256_shuffle_epi8(x, shuffle);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + at), _mm256_castsi256_si128(x));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(target + at + 2 * bits), _mm256_extracti128_si256(x, 1));
  }
  alignas(32) std::uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), all);
  seen |= lanes[0] | lanes[1] | lanes[2] | lanes[3];
  return done;
}

template <int bits>
HALFTONE_AVX2 Index unpack_blocks(const std::byte* source, Index room, Index count, std::uint8_t* codes) {
  static constexpr Shuffle shuffle_bytes = pulled_apart(bits);
  const __m256i shuffle = _mm256_load_si256(reinterpret_cast<const __m256i*>(shuffle_bytes.bytes));
  constexpr int odd = 4 * bits % 8, two = (1 << 2 * bits) - 1, one = ((1 << bits) - 1) * 0x00010001;
  const __m256i shift = _mm256_setr_epi32(0, odd, 0, odd, 0, odd, 0, odd);
  const __m256i low2 = _mm256_set1_epi32(two), high2 = _mm256_slli_epi32(low2, 16);
  const __m256i low1 = _mm256_set1_epi32(one), high1 = _mm256_slli_epi32(low1, 8);
  Index done = 0;
  for (Index at = 0; done + 32 <= count && at + 2 * bits + 16 <= room; done += 32, at += 4 * bits) {
    __m256i x =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at))),
                                _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at + 2 * bits)), 1);
    x = _mm256_srlv_epi32(_mm256_shuffle_epi8(x, shuffle), shift);  // four codes in the low bits of each lane
    x = _mm256_or_si256(_mm256_and_si256(x, low2), _mm256_and_si256(_mm256_slli_epi32(x, 16 - 2 * bits), high2));
    x = _mm256_or_si256(_mm256_and_si256(x, low1), _mm256_and_si256(_mm256_slli_epi32(x, 8 - bits), high1));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + done), x);
  }
  return done;
}

}  // namespace

Index pack_blocks_avx2(int bits, const std::uint8_t* codes, Index count, std::byte* target, Index room,
                       std::uint64_t& seen) {
  switch (bits) {
    case 2: return pack_blocks<2>(codes, count, target, room, seen);
    case 3: return pack_blocks<3>(codes, count, target, room, seen);
    case 4: return pack_blocks<4>(codes, count, target, room, seen);
    case 5: return pack_blocks<5>(codes, count, target, room, seen);
    case 6: return pack_blocks<6>(codes, count, target, room, seen);
    case 7: return pack_blocks<7>(codes, count, target, room, seen);
    default: return 0;
  }
}

Index unpack_blocks_avx2(int bits, const std::byte* source, Index room, Index count, std::uint8_t* codes) {
  switch (bits) {
    case 2: return unpack_blocks<2>(source, room, count, codes);
    case 3: return unpack_blocks<3>(source, room, count, codes);
    case 4: return unpack_blocks<4>(source, room, count, codes);
    case 5: return unpack_blocks<5>(source, room, count, codes);
    case 6: return unpack_blocks<6>(source, room, count, codes);
    case 7: return unpack_blocks<7>(source, room, count, codes);
    default: return 0;
  }
}

}  // namespace halftone::detail

#endif
