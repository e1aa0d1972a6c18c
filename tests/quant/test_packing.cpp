#include "halftone/quant/packing.hpp"

#include <catch2/catch.hpp>
#include <cstring>  // memset
#include <vector>

#include "halftone/core/random.hpp"
#include "quant/packing_run.hpp"

using namespace halftone;

namespace {

Matrix<std::uint8_t> random_codes(Index rows, Index cols, int bits, std::uint64_t seed) {
  Random random(seed);
  Matrix<std::uint8_t> codes(rows, cols);
  for (Index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(random.below(1u << bits));
  return codes;
}

/// Stream(bits), bit by bit as the definition says.
std::vector<std::uint32_t> naive_stream(const std::uint8_t* codes, Index count, int bits) {
  std::vector<std::uint32_t> words(static_cast<std::size_t>(packed_words(count, bits)), 0);
  for (Index j = 0; j < count; ++j)
    for (int k = 0; k < bits; ++k) {
      const Index bit = j * bits + k;
      words[static_cast<std::size_t>(bit / 32)] |= static_cast<std::uint32_t>(codes[j] >> k & 1) << bit % 32;
    }
  return words;
}

const Index sizes[][2] = {{1, 1},  {1, 2},    {3, 7},    {2, 31},   {4, 32},    {5, 33},    {33, 64},
                          {7, 65}, {31, 511}, {34, 512}, {65, 513}, {96, 1024}, {37, 1100}, {1, 5000}};

}  // namespace

TEST_CASE("packed words are the bit string that the definition says, for every width, size and layout") {
  for (int bits = 2; bits <= 8; ++bits)
    for (const auto& [rows, cols] : sizes) {
      INFO("bits " << bits << ", codes [" << rows << ", " << cols << "]");
      const auto codes = random_codes(rows, cols, bits, 1);
      const auto by_rows = pack_codes(codes, bits, WordLayout::Rows);
      const auto by_columns = pack_codes(codes, bits, WordLayout::Columns, 3);
      REQUIRE((by_rows.rows() == rows && by_rows.cols() == packed_words(cols, bits)));
      REQUIRE((by_columns.rows() == packed_words(cols, bits) && by_columns.cols() == rows));
      bool equal = true;
      for (Index i = 0; i < rows; ++i) {
        const auto expected = naive_stream(codes.row(i), cols, bits);
        for (Index w = 0; w < by_rows.cols(); ++w)
          equal = equal && by_rows(i, w) == expected[static_cast<std::size_t>(w)] && by_columns(w, i) == by_rows(i, w);
      }
      CHECK(equal);
      Matrix<std::uint8_t> back(rows, cols, 0xee);
      unpack_codes(by_rows, bits, WordLayout::Rows, back, 2);
      CHECK(back == codes);
      back.fill(0xee);
      unpack_codes(by_columns, bits, WordLayout::Columns, back);
      CHECK(back == codes);
    }
}

TEST_CASE("both instruction sets pack alike and stay within their room") {
  constexpr Index margin = 32;
  for (const auto isa : {detail::PackingIsa::Portable, detail::best_packing_isa()})
    for (int bits = 2; bits <= 8; ++bits)
      for (Index count = 0; count <= 200; ++count) {
        const auto codes = random_codes(1, count + 1, bits, static_cast<std::uint64_t>(count));
        const Index bytes = packed_words(count, bits) * 4;
        std::vector<std::byte> target(static_cast<std::size_t>(bytes + margin), std::byte{0xaa});
        const std::uint64_t seen = detail::pack_run(isa, bits, codes.data(), count, target.data(), bytes);
        const auto expected = naive_stream(codes.data(), count, bits);
        const bool equal =
            bytes == 0 || std::memcmp(target.data(), expected.data(), static_cast<std::size_t>(bytes)) == 0;
        const bool kept = target[static_cast<std::size_t>(bytes)] == std::byte{0xaa};
        std::uint8_t all = 0, seen_all = 0;
        for (Index j = 0; j < count; ++j) all |= codes.data()[j];
        for (int i = 0; i < 8; ++i) seen_all |= static_cast<std::uint8_t>(seen >> 8 * i);
        std::vector<std::uint8_t> back(static_cast<std::size_t>(count + margin), 0xbb);
        detail::unpack_run(isa, bits, target.data(), bytes, count, back.data());
        const bool returned = std::equal(codes.data(), codes.data() + count, back.begin());
        if (!equal || !kept || !returned || all != seen_all || back[static_cast<std::size_t>(count)] != 0xbb)
          FAIL_CHECK("isa " << static_cast<int>(isa) << ", bits " << bits << ", count " << count);
      }
  SUCCEED();
}

TEST_CASE("words of symmetric zeros are those of the historic packers") {
  const auto words_of = [](int zero, int bits) {
    return pack_codes(Matrix<std::uint8_t>(1, 32, static_cast<std::uint8_t>(zero)), bits, WordLayout::Rows);
  };
  CHECK(words_of(2, 2)(0, 0) == 0xAAAAAAAA);
  CHECK(words_of(1, 2)(0, 0) == 0x55555555);
  const auto three = words_of(4, 3);
  CHECK((three(0, 0) == 0x24924924 && three(0, 1) == 0x49249249 && three(0, 2) == 0x92492492));
  const auto less = words_of(3, 3);
  CHECK((less(0, 0) == 0xDB6DB6DB && less(0, 1) == 0xB6DB6DB6 && less(0, 2) == 0x6DB6DB6D));
  CHECK(words_of(8, 4)(0, 0) == 0x88888888);
  CHECK(words_of(7, 4)(0, 0) == 0x77777777);
  CHECK(words_of(128, 8)(0, 0) == 0x80808080);
  CHECK(words_of(127, 8)(0, 0) == 0x7F7F7F7F);
}

TEST_CASE("three-bit codes straddle words as in the historic pattern") {
  Matrix<std::uint8_t> codes(1, 32, std::uint8_t{0});
  codes(0, 10) = 0b101;  // low two bits: word 0, bits 30 and 31; high bit: word 1, bit 0
  codes(0, 21) = 0b110;  // low bit: word 1, bit 31; two high bits: word 2, bits 0 and 1
  const auto words = pack_codes(codes, 3, WordLayout::Rows);
  CHECK(words(0, 0) == 0x40000000);
  CHECK(words(0, 1) == 0x00000001);
  CHECK(words(0, 2) == 0x00000003);
}

TEST_CASE("the number of threads does not change a byte") {
  const auto codes = random_codes(300, 2500, 5, 9);
  for (const auto layout : {WordLayout::Rows, WordLayout::Columns})
    CHECK(pack_codes(codes, 5, layout, 1) == pack_codes(codes, 5, layout, 7));
}

TEST_CASE("views with a stride are packed and filled in place") {
  const auto codes = random_codes(20, 90, 4, 3);
  Matrix<std::uint32_t> words(40, 30, 0xcccccccc);
  const auto target = words.view().block(2, 3, 5, 20);
  pack_codes(codes.view().block(0, 10, 20, 40), 4, WordLayout::Columns, target);
  CHECK(words(2, 2) == 0xcccccccc);
  CHECK(words(7, 3) == 0xcccccccc);
  CHECK(words(2, 23) == 0xcccccccc);
  Matrix<std::uint8_t> back(20, 90, 0xff);
  unpack_codes(target, 4, WordLayout::Columns, back.view().block(0, 10, 20, 40));
  CHECK(back(3, 12) == codes(3, 12));
  CHECK(back(3, 9) == 0xff);
  CHECK(back(3, 50) == 0xff);
}

TEST_CASE("codes too wide, widths unknown and shapes that do not fit are refused") {
  Matrix<std::uint8_t> codes(40, 70, std::uint8_t{7});
  CHECK_NOTHROW(pack_codes(codes, 3, WordLayout::Rows));
  codes(39, 69) = 8;
  CHECK_THROWS_WITH(pack_codes(codes, 3, WordLayout::Rows), Catch::Contains("does not fit in 3 bits"));
  CHECK_THROWS_WITH(pack_codes(codes, 3, WordLayout::Columns, 2), Catch::Contains("does not fit in 3 bits"));
  CHECK_THROWS_AS(pack_codes(codes, 1, WordLayout::Rows), Error);
  CHECK_THROWS_AS(pack_codes(codes, 9, WordLayout::Rows), Error);
  Matrix<std::uint32_t> words(40, 8);
  CHECK_THROWS_AS(pack_codes(codes, 4, WordLayout::Rows, words), Error);
  CHECK_THROWS_AS(unpack_codes(words, 3, WordLayout::Rows, codes), Error);
  CHECK(pack_codes(Matrix<std::uint8_t>(0, 5), 4, WordLayout::Columns).rows() == 1);
  CHECK(pack_codes(Matrix<std::uint8_t>(5, 0), 4, WordLayout::Rows).empty());
}

TEST_CASE("transposition exchanges rows and columns") {
  const auto codes = random_codes(5, 9, 8, 4);
  const auto turned = transposed(codes);
  CHECK((turned.rows() == 9 && turned.cols() == 5 && turned(8, 4) == codes(4, 8) && turned(2, 3) == codes(3, 2)));
  CHECK(transposed(turned) == codes);
}
