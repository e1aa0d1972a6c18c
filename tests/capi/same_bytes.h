/* The same matrices in every language, and a hash of what is made of them: how the tests see that C, C++, Rust and Go
 * give the same bytes. Numbers come from splitmix64 and are multiples of 2^-24 in [-0.5, 0.5), exact in binary.
 *
 * W [24, 40] seed 1, X [200, 40] seed 2; gptq, bits 3, group_size 16, act_order true. Hashed by FNV-1a of 64 bits: the
 * codes, then the scales as little-endian floats, then the zeros. */
#ifndef HALFTONE_TESTS_SAME_BYTES_H
#define HALFTONE_TESTS_SAME_BYTES_H

#include <stddef.h>
#include <stdint.h>

enum { same_rows = 24, same_cols = 40, same_tokens = 200 };

static inline void same_numbers(float* values, size_t count, uint64_t seed) {
  for (size_t i = 0; i < count; ++i) {
    seed += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t x = seed;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    values[i] = (float)(x >> 40) / 16777216.0f - 0.5f;
  }
}

static inline uint64_t same_hash(uint64_t hash, const void* data, size_t size) {
  const unsigned char* bytes = (const unsigned char*)data;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return hash;
}
static const uint64_t same_start = UINT64_C(0xcbf29ce484222325);

#endif
