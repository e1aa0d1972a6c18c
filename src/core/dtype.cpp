#include "halftone/core/dtype.hpp"

#include <array>
#include <cmath>    // ldexp
#include <cstring>  // memcpy
#include <limits>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

struct Row {
  DType type;
  int bits;
  std::string_view name;
};

constexpr std::array rows{
    Row{DType::F32, 32, "F32"},
    Row{DType::F16, 16, "F16"},
    Row{DType::BF16, 16, "BF16"},
    Row{DType::F64, 64, "F64"},
    Row{DType::I8, 8, "I8"},
    Row{DType::I16, 16, "I16"},
    Row{DType::I32, 32, "I32"},
    Row{DType::I64, 64, "I64"},
    Row{DType::U8, 8, "U8"},
    Row{DType::U16, 16, "U16"},
    Row{DType::U32, 32, "U32"},
    Row{DType::U64, 64, "U64"},
    Row{DType::Bool, 8, "BOOL"},
    Row{DType::F8_E4M3, 8, "F8_E4M3"},
    Row{DType::F8_E5M2, 8, "F8_E5M2"},
    Row{DType::F8_E8M0, 8, "F8_E8M0"},
    Row{DType::F8_E4M3FNUZ, 8, "F8_E4M3FNUZ"},
    Row{DType::F8_E5M2FNUZ, 8, "F8_E5M2FNUZ"},
    Row{DType::F6_E2M3, 6, "F6_E2M3"},
    Row{DType::F6_E3M2, 6, "F6_E3M2"},
    Row{DType::F4, 4, "F4"},
    Row{DType::C64, 64, "C64"},
};

const Row& row_of(DType type) noexcept {
  for (const Row& row : rows)
    if (row.type == type) return row;
  return rows[0];
}

/// F8_E4M3 ("fn"): bias 7, no infinity, exponent and mantissa all ones is NaN.
float f8_e4m3(std::uint8_t b) {
  const int exponent = (b >> 3) & 15, mantissa = b & 7;
  float value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if (exponent == 15 && mantissa == 7) value = std::numeric_limits<float>::quiet_NaN();
  return b & 0x80 ? -value : value;
}

/// F8_E5M2 is the upper byte of an IEEE half.
float f8_e5m2(std::uint8_t b) { return detail::half_to_float(static_cast<std::uint16_t>(b << 8)); }

template <class T, class Convert>
void widen_run(const std::byte* source, std::int64_t count, float* target, Convert convert) {
  for (std::int64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, source + i * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
    target[i] = convert(element);
  }
}

template <class T, class Convert>
void narrow_run(const float* source, std::int64_t count, std::byte* target, Convert convert) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T element = convert(source[i]);
    std::memcpy(target + i * static_cast<std::int64_t>(sizeof(T)), &element, sizeof(T));
  }
}

}  // namespace

int dtype_bits(DType type) noexcept { return row_of(type).bits; }
std::string_view dtype_name(DType type) noexcept { return row_of(type).name; }

std::optional<DType> parse_dtype(std::string_view name) noexcept {
  for (const Row& row : rows)
    if (row.name == name) return row.type;
  return std::nullopt;
}

std::int64_t dtype_bytes(DType type, std::int64_t count) {
  std::int64_t bits = 0;
  const bool overflow = __builtin_mul_overflow(count, static_cast<std::int64_t>(dtype_bits(type)), &bits);
  require(count >= 0 && !overflow && bits % 8 == 0, Status::InvalidData, count, " elements of ", dtype_name(type),
          " are not a whole number of bytes that fits in 63 bits");
  return bits / 8;
}

bool is_floating(DType type) noexcept {
  return type == DType::F64 || type == DType::F32 || type == DType::F16 || type == DType::BF16 ||
         type == DType::F8_E4M3 || type == DType::F8_E5M2;
}

void widen(DType type, const std::byte* source, std::int64_t count, float* target) {
  switch (type) {
    case DType::F32: std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float)); return;
    case DType::F64: return widen_run<double>(source, count, target, [](double x) { return static_cast<float>(x); });
    case DType::F16: return widen_run<std::uint16_t>(source, count, target, detail::half_to_float);
    case DType::BF16: return widen_run<std::uint16_t>(source, count, target, detail::bfloat_to_float);
    case DType::F8_E4M3: return widen_run<std::uint8_t>(source, count, target, f8_e4m3);
    case DType::F8_E5M2: return widen_run<std::uint8_t>(source, count, target, f8_e5m2);
    default: fail(Status::Unsupported, "widen: elements of ", dtype_name(type), " are no floating-point numbers");
  }
}

void narrow(DType type, const float* source, std::int64_t count, std::byte* target) {
  switch (type) {
    case DType::F32: std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float)); return;
    case DType::F16: return narrow_run<std::uint16_t>(source, count, target, detail::float_to_half);
    case DType::BF16: return narrow_run<std::uint16_t>(source, count, target, detail::float_to_bfloat);
    default: fail(Status::Unsupported, "narrow: cannot write ", dtype_name(type), "; wanted F32, F16 or BF16");
  }
}

float rounded_to(DType type, float value) {
  switch (type) {
    case DType::F32: return value;
    case DType::F16: return static_cast<float>(Float16(value));
    case DType::BF16: return static_cast<float>(BFloat16(value));
    default: fail(Status::Unsupported, "rounded_to: ", dtype_name(type), " is not one of F32, F16, BF16");
  }
}

}  // namespace halftone
