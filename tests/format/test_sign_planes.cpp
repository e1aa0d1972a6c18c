#include "format/sign_planes.hpp"

#include "format/helpers.hpp"
#include "halftone/core/random.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("sign planes hold bit i of code (r, j) in row i·rows + r, bit j % 32 of word j / 32") {
  Random random(1);
  for (int bits = 1; bits <= 8; ++bits)
    for (const Index cols : {1, 5, 8, 31, 32, 33, 64, 100}) {
      INFO(bits << " bits, " << cols << " columns");
      Matrix<std::uint8_t> codes(3, cols);
      for (Index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(random.below(1u << bits));
      const auto words = detail::pack_planes(codes, bits);
      REQUIRE((words.rows() == 3 * bits && words.cols() == (cols + 31) / 32));
      bool equal = true;
      for (Index i = 0; i < bits; ++i)
        for (Index r = 0; r < 3; ++r)
          for (Index j = 0; j < 32 * words.cols(); ++j) {
            const unsigned expected = j < cols ? codes(r, j) >> i & 1u : 0u;  // zeros behind the last column
            equal = equal && (words(i * 3 + r, j / 32) >> j % 32 & 1u) == expected;
          }
      CHECK(equal);
      CHECK(detail::unpack_planes(words, bits, cols) == codes);
    }
}

TEST_CASE("sign planes: codes that need more bits, and words of another shape, are refused") {
  Matrix<std::uint8_t> codes(2, 9, 3);
  CHECK_NOTHROW(detail::pack_planes(codes, 2));
  codes(1, 8) = 4;
  expect_error(Status::InvalidArgument, {"more than 2 bits"}, [&] { detail::pack_planes(codes, 2); });
  const Matrix<std::uint32_t> words(4, 1, 0);
  CHECK(detail::unpack_planes(words, 2, 32).rows() == 2);
  for (const auto& [bits, cols] : {std::pair<int, Index>{3, 32}, {2, 33}, {0, 32}})
    expect_error(Status::ShapeMismatch, {"[4, 1]"}, [&, b = bits, c = cols] { detail::unpack_planes(words, b, c); });
}
