// Element types as checkpoints name them, and conversion of runs of elements to and from float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "halftone/core/float16.hpp"
#include "halftone/core/view.hpp"

namespace halftone {

/// Every element type of the safetensors format. The values are pinned (C ABI).
enum class DType : std::int32_t {
  F32 = 0,
  F16 = 1,
  BF16 = 2,
  F64 = 3,
  I8 = 10,
  I16 = 11,
  I32 = 12,
  I64 = 13,
  U8 = 20,
  U16 = 21,
  U32 = 22,
  U64 = 23,
  Bool = 30,
  F8_E4M3 = 40,
  F8_E5M2 = 41,
  F8_E8M0 = 42,
  F8_E4M3FNUZ = 43,
  F8_E5M2FNUZ = 44,
  F6_E2M3 = 50,
  F6_E3M2 = 51,
  F4 = 52,
  C64 = 60,
};

/// Bits of one element (4 and 6 exist).
int dtype_bits(DType type) noexcept;
/// The safetensors name, "BF16".
std::string_view dtype_name(DType type) noexcept;
/// Inverse of dtype_name; nothing for a name that the format does not have.
std::optional<DType> parse_dtype(std::string_view name) noexcept;
/// Bytes of `count` elements; throws Status::InvalidData where that is no whole number or overflows.
std::int64_t dtype_bytes(DType type, std::int64_t count);
/// True for F64, F32, F16, BF16, F8_E4M3 and F8_E5M2: what `widen` reads.
bool is_floating(DType type) noexcept;

/// `count` elements of `type` at `source` (any alignment) to float. Throws Status::Unsupported unless
/// is_floating(type).
void widen(DType type, const std::byte* source, std::int64_t count, float* target);
/// `count` floats to elements of F32, F16 or BF16, rounding half to even. Throws Status::Unsupported for other types.
void narrow(DType type, const float* source, std::int64_t count, std::byte* target);
/// The nearest value that `type` (F32, F16, BF16) holds, as float.
float rounded_to(DType type, float value);

}  // namespace halftone
