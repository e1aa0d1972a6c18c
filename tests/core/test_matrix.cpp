#include "halftone/core/matrix.hpp"

#include <catch2/catch.hpp>
#include <cstdint>

using namespace halftone;

TEST_CASE("a matrix copies, moves and views its elements") {
  Matrix<float> a(3, 5, 1.0f);
  a(2, 4) = 7;
  CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0);
  Matrix<float> b = a;
  CHECK(a == b);
  b(0, 0) = 2;
  CHECK_FALSE(a == b);
  const Matrix<float> c = std::move(b);
  CHECK(c(0, 0) == 2);
  CHECK(b.empty());  // NOLINT(bugprone-use-after-move): the moved-from state is documented
  const Matrix<float> d(a.view().block(1, 2, 2, 3));
  CHECK(d.rows() == 2);
  CHECK(d(1, 2) == 7);
  CHECK(Matrix<float>(0, 9).empty());
}

TEST_CASE("hostile sizes are refused, not allocated") {
  CHECK_THROWS_AS(Matrix<float>(Index{1} << 40, Index{1} << 40), Error);
  CHECK_THROWS_AS(Matrix<float>(-1, 2), Error);
}
