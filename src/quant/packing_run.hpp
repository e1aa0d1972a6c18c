// Packing of one run of codes: the portable loops, and blocks of 32 codes with AVX2.
#pragma once

#include <cstddef>
#include <cstdint>

#include "halftone/core/view.hpp"

namespace halftone::detail {

enum class PackingIsa { Portable, Avx2 };
/// What this processor runs best.
PackingIsa best_packing_isa() noexcept;

/// Stream(bits) of `count` codes into packed_words(count, bits) words at `target`, the last filled with zeros. `room`
/// bytes from `target` on may be written meanwhile, at least those of the words. Returns the union of the codes' bits,
/// in bytes.
std::uint64_t pack_run(PackingIsa isa, int bits, const std::uint8_t* codes, Index count, std::byte* target, Index room);
/// Inverse; `room` bytes from `source` on may be read.
void unpack_run(PackingIsa isa, int bits, const std::byte* source, Index room, Index count, std::uint8_t* codes);

#if defined(__x86_64__)
/// As many leading blocks of 32 codes as `count` and `room` allow; returns the number of codes. 2 <= bits <= 7.
Index pack_blocks_avx2(int bits, const std::uint8_t* codes, Index count, std::byte* target, Index room,
                       std::uint64_t& seen);
Index unpack_blocks_avx2(int bits, const std::byte* source, Index room, Index count, std::uint8_t* codes);
#endif

}  // namespace halftone::detail
