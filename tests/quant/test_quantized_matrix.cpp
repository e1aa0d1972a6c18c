#include "halftone/quant/quantized_matrix.hpp"

#include <catch2/catch.hpp>

using namespace halftone;

namespace {
/// 2 x 5, 3 bits, groups of 2 (the last is short).
QuantizedMatrix example() {
  QuantizedMatrix matrix{Matrix<std::uint8_t>(2, 5), UniformGrid{3, false, 2, DType::F16, {2, 3}, {2, 3}}, {}, {}, {}};
  for (Index r = 0; r < 2; ++r) {
    for (Index j = 0; j < 5; ++j) matrix.codes(r, j) = static_cast<std::uint8_t>((r * 5 + j) % 8);
    for (Index g = 0; g < 3; ++g) {
      matrix.uniform().scales(r, g) = 0.5f * static_cast<float>(g + 1);
      matrix.uniform().zeros(r, g) = static_cast<std::uint8_t>(r + g);
    }
  }
  return matrix;
}
}  // namespace

TEST_CASE("a code decodes with the scale and zero of its column's group") {
  const QuantizedMatrix matrix = example();
  const Matrix<float> values = dequantize(matrix);
  CHECK(values(0, 0) == 0.5f * (0 - 0));
  CHECK(values(0, 3) == 1.0f * (3 - 1));
  CHECK(values(1, 1) == 0.5f * (6 - 1));
  CHECK(values(1, 4) == 1.5f * (1 - 3));
}

TEST_CASE("a group index moves columns to other groups") {
  QuantizedMatrix matrix = example();
  matrix.group_index = {2, 0, 1, 0, 1};
  CHECK(dequantize(matrix)(1, 0) == 1.5f * (5 - 3));
  CHECK_FALSE(same_codes(matrix, example()));
  matrix.group_index = {0, 0, 1, 1, 2};  // what column / group_size says as well
  CHECK(same_codes(matrix, example()));
  CHECK(dequantize(matrix) == dequantize(example()));
}

TEST_CASE("any difference in codes, scales, zeros or shape is seen") {
  const QuantizedMatrix matrix = example();
  CHECK(same_codes(matrix, matrix));
  QuantizedMatrix other = matrix;
  other.codes(1, 4) ^= 1;
  CHECK_FALSE(same_codes(matrix, other));
  other = matrix;
  other.uniform().scales(0, 2) *= 2;
  CHECK_FALSE(same_codes(matrix, other));
  other = matrix;
  other.uniform().zeros(0, 2) ^= 1;
  CHECK_FALSE(same_codes(matrix, other));
  other = matrix;
  other.report.seconds = 3;
  CHECK(same_codes(matrix, other));
}

TEST_CASE("stored bits count codes, scales, zeros and the group index") {
  QuantizedMatrix matrix = example();
  CHECK(stored_bits(matrix) == 2 * 5 * 3 + 6 * 16 + 6 * 3);
  matrix.uniform().symmetric = true;
  CHECK(stored_bits(matrix) == 2 * 5 * 3 + 6 * 16);
  matrix.uniform().scale_type = DType::F32;
  matrix.group_index = {0, 0, 1, 1, 2};
  CHECK(stored_bits(matrix) == 2 * 5 * 3 + 6 * 32 + 5 * 32);
}

TEST_CASE("a binary-coded matrix decodes to its signed sums, group by group, and counts their parameters") {
  BinaryGrid grid{2, 2, DType::F16, Matrix<float>(1, 6), Matrix<float>(1, 3)};
  for (Index g = 0; g < 3; ++g) {
    grid.alphas(0, 2 * g) = static_cast<float>(g + 2);
    grid.alphas(0, 2 * g + 1) = 0.5f;
    grid.biases(0, g) = static_cast<float>(10 * g);
  }
  QuantizedMatrix matrix{Matrix<std::uint8_t>(1, 5), grid, {}, {}, {}};
  for (Index j = 0; j < 5; ++j) matrix.codes(0, j) = static_cast<std::uint8_t>(j % 4);
  const Matrix<float> values = dequantize(matrix);
  CHECK(values(0, 0) == -2 - 0.5f);
  CHECK(values(0, 1) == 2 - 0.5f);
  CHECK(values(0, 2) == 10 - 3 + 0.5f);
  CHECK(values(0, 3) == 10 + 3 + 0.5f);
  CHECK(values(0, 4) == 20 - 4 - 0.5f);
  CHECK(matrix.binary_coded());
  CHECK((matrix.bits() == 2 && matrix.groups() == 3 && matrix.group_size() == 2));
  CHECK(stored_bits(matrix) == 5 * 2 + 3 * 3 * 16);
  QuantizedMatrix other = matrix;
  CHECK(same_codes(matrix, other));
  other.binary().biases(0, 2) = 1;
  CHECK_FALSE(same_codes(matrix, other));
  CHECK_FALSE(same_codes(matrix, example()));
  matrix.outliers = {{1}, Matrix<float>(1, 1, 7.0f), DType::F16};
  CHECK(dequantize(matrix)(0, 1) == 7.0f);
  CHECK(stored_bits(matrix) == 5 * 2 + 3 * 3 * 16 + 16 + 32);
}
