#include "halftone/core/dtype.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "halftone/core/error.hpp"

using namespace halftone;

TEST_CASE("every half survives the round trip through float") {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    Float16 half;
    half.bits = static_cast<std::uint16_t>(bits);
    const auto wide = static_cast<float>(half);
    if (std::isnan(wide))
      REQUIRE(std::isnan(static_cast<float>(Float16(wide))));
    else
      REQUIRE(Float16(wide) == half);
  }
}

TEST_CASE("narrowing rounds half to even and saturates to infinity") {
  // Between neighbours a < b of the same sign: the midpoint goes to the even one, anything else to the nearer.
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    Float16 low, high;
    low.bits = static_cast<std::uint16_t>(bits);
    high.bits = static_cast<std::uint16_t>(bits + 1);
    const float a = static_cast<float>(low), b = static_cast<float>(high), middle = 0.5f * (a + b);
    const Float16 even = (bits & 1) ? high : low;
    REQUIRE(Float16(middle) == even);
    REQUIRE(Float16(std::nextafter(middle, 0.0f)) == low);
    REQUIRE(Float16(std::nextafter(middle, 1e9f)) == high);
  }
  CHECK(Float16(65519.0f).bits == 0x7bff);
  CHECK(Float16(65520.0f).bits == 0x7c00);
  CHECK(BFloat16(1.0f + 0x1p-8f).bits == 0x3f80);
  CHECK(BFloat16(1.0f + 0x1.8p-7f).bits == 0x3f82);
  CHECK(std::isnan(static_cast<float>(BFloat16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("dtype names are the inverse of parsing") {
  for (DType type : {DType::F32, DType::F16, DType::BF16, DType::F64, DType::I8, DType::I64, DType::U8, DType::Bool,
                     DType::F8_E4M3, DType::F8_E5M2, DType::F6_E2M3, DType::F4, DType::C64})
    CHECK(parse_dtype(dtype_name(type)) == type);
  CHECK_FALSE(parse_dtype("F33"));
  CHECK_FALSE(parse_dtype(""));
}

TEST_CASE("dtype_bytes refuses fractions and overflow") {
  CHECK(dtype_bytes(DType::F4, 6) == 3);
  CHECK(dtype_bytes(DType::BF16, 0) == 0);
  CHECK_THROWS_AS(dtype_bytes(DType::F4, 3), Error);
  CHECK_THROWS_AS(dtype_bytes(DType::F32, std::numeric_limits<std::int64_t>::max() / 16), Error);
  CHECK_THROWS_AS(dtype_bytes(DType::F32, -1), Error);
}

TEST_CASE("widen reads every floating type at any alignment") {
  std::vector<std::byte> raw(1 + 8 * 3);
  const double values[] = {1.5, -0.25, 448.0};
  for (DType type : {DType::F32, DType::F16, DType::BF16}) {
    const std::vector<float> source(values, values + 3);
    narrow(type, source.data(), 3, raw.data() + 1);
    std::vector<float> back(3);
    widen(type, raw.data() + 1, 3, back.data());
    CHECK(back == source);
  }
  raw[1] = std::byte{0x7e};  // E4M3: 1.75 · 2^8 = 448
  raw[2] = std::byte{0x81};  // smallest subnormal, negative
  float out[2];
  widen(DType::F8_E4M3, raw.data() + 1, 2, out);
  CHECK(out[0] == 448.0f);
  CHECK(out[1] == -0x1p-9f);
  CHECK_THROWS_AS(widen(DType::I32, raw.data(), 1, out), Error);
  CHECK_THROWS_AS(narrow(DType::F64, out, 1, raw.data()), Error);
}
