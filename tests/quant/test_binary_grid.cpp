// Binary-coded grids as stored, and step vectors: counts, merging, identities.
#include <catch2/catch.hpp>

#include <cmath>
#include <set>

#include "halftone/core/random.hpp"
#include "halftone/quant/binary_candidates.hpp"
#include "halftone/quant/quantized_matrix.hpp"
#include "halftone/quant/step_vectors.hpp"

using namespace halftone;

namespace {

/// Partitions of `total` into `parts` positive parts: p(n, k) = p(n − 1, k − 1) + p(n − k, k).
int count_partitions(int total, int parts) {
  if (parts == 0) return total == 0 ? 1 : 0;
  return total < parts ? 0 : count_partitions(total - 1, parts - 1) + count_partitions(total - parts, parts);
}

}  // namespace

TEST_CASE("step vectors are the partitions of 2^n − 1, each once") {
  const int table[2][4] = {{3, 7, 15, 31}, {4, 19, 80, 331}};  // n = 3 .. 6 for k = 2 and k = 3
  for (int k = 2; k <= 4; ++k)
    for (int n = std::max(3, k); n <= 6; ++n) {
      CAPTURE(n, k);
      const auto shapes = all_step_vectors(n, k);
      if (k < 4) CHECK(static_cast<int>(shapes.size()) == table[k - 2][n - 3]);
      CHECK(static_cast<int>(shapes.size()) == count_partitions(step_total(n), k));
      CHECK(std::set<StepVector>(shapes.begin(), shapes.end()).size() == shapes.size());
      for (const StepVector& d : shapes) {
        int sum = 0;
        for (int i = 0; i < max_steps; ++i) {
          const auto at = static_cast<std::size_t>(i);
          REQUIRE((d[at] > 0) == (i < k));
          if (i > 0) REQUIRE(d[at] <= d[at - 1]);
          sum += d[at];
        }
        REQUIRE(sum == step_total(n));
      }
    }
}

TEST_CASE("the fast shapes are some of all shapes") {
  for (int k = 2; k <= 4; ++k)
    for (int n = std::max(3, k); n <= 6; ++n) {
      CAPTURE(n, k);
      const auto all = all_step_vectors(n, k), fast = fast_step_vectors(n, k);
      const std::set<StepVector> known(all.begin(), all.end()), chosen(fast.begin(), fast.end());
      CHECK(chosen.size() == fast.size());
      CHECK(fast.size() == (n == 4 && k == 4 ? 1 : std::min<std::size_t>(10, all.size())));
      for (const StepVector& d : fast) CHECK(known.count(d) == 1);
    }
}

TEST_CASE("merged binary coding is the two-step form, bit for bit") {
  Random random(3);
  for (int k = 2; k <= 4; ++k)
    for (const StepVector& d : all_step_vectors(5, k)) {
      const auto scale = static_cast<double>(static_cast<float>(0.001 + random.uniform()));
      const int total = step_total(5), zero = static_cast<int>(random.below(32));
      for (int code = 0; code < 1 << k; ++code) {
        int t = 0;
        double merged = merged_bias(scale, zero, total);
        for (int i = 0; i < k; ++i) {
          const int step = d[static_cast<std::size_t>(i)], bit = code >> i & 1;
          t += bit * step;
          merged += merged_alpha(scale, step) * (2 * bit - 1);
        }
        REQUIRE(merged == scale * (t - zero));
      }
    }
}

TEST_CASE("levels ascend, and every code decodes to its level, coinciding sums included") {
  for (int k = 2; k <= 4; ++k)
    for (const StepVector& d : all_step_vectors(4, k)) {
      float alphas[max_steps], levels[16];
      std::uint8_t codes[16];
      for (int i = 0; i < k; ++i) alphas[i] = 0.5f * d[static_cast<std::size_t>(i)];
      ascending_levels(alphas, 1, 0.25f, k, levels, codes);
      int sums[16];
      subset_sums(d, k, sums);
      std::set<int> seen;
      for (int m = 0; m < 1 << k; ++m) {
        REQUIRE(levels[m] == static_cast<float>(sums[m]) - 7.5f + 0.25f);
        REQUIRE(decode_binary(codes[m], alphas, 1, 0.25f, k) == levels[m]);
        if (m > 0 && levels[m] == levels[m - 1]) REQUIRE(codes[m] > codes[m - 1]);
        seen.insert(codes[m]);
      }
      REQUIRE(static_cast<int>(seen.size()) == 1 << k);
    }
}

TEST_CASE("find_level is the nearest level, ties to the lower") {
  const float levels[] = {-3, -1, -1, 2};  // two coincide
  float thresholds[3];
  for (int m = 0; m < 3; ++m) thresholds[m] = threshold_between(levels[m], levels[m + 1]);
  const auto level = [&](float value) { return find_level(value, thresholds, 1, 4); };
  CHECK(level(-100.0f) == 0);
  CHECK(level(-2.0f) == 0);  // a tie
  CHECK(level(-1.5f) == 1);
  CHECK(level(-1.0f) == 1);  // on both: the lower
  CHECK(levels[level(-0.5f)] == -1.0f);
  CHECK(levels[level(0.5f)] == -1.0f);  // a tie
  CHECK(level(0.75f) == 3);
  CHECK(level(INFINITY) == 3);
}

TEST_CASE("stored numbers are ones that the type holds, without infinities") {
  CHECK(round_stored(1e6f, ScaleType::F16) == 65504.0f);
  CHECK(round_stored(-1e6f, ScaleType::F16) == -65504.0f);
  CHECK(std::isfinite(round_stored(-3.4e38f, ScaleType::BF16)));
  CHECK(round_stored(0.1f, ScaleType::F32) == 0.1f);
  for (float value : {0.1f, -3.3e-6f, 1e-9f, 4097.3f}) {
    CHECK(round_stored(value, ScaleType::F16) == static_cast<float>(Float16(value)));
    CHECK(round_stored(value, ScaleType::BF16) == static_cast<float>(BFloat16(value)));
  }
}

TEST_CASE("a uniform grid converts exactly to sign planes") {
  Random random(4);
  for (int bits : {1, 2, 3, 4, 8})
    for (ScaleType type : {ScaleType::F16, ScaleType::BF16}) {
      CAPTURE(bits);
      UniformGrid grid{bits, false, 5, dtype_of(type), Matrix<float>(7, 3), Matrix<std::uint8_t>(7, 3)};
      const auto levels = static_cast<std::uint64_t>(1 << bits);
      for (Index i = 0; i < grid.scales.size(); ++i) {
        grid.scales.data()[i] = round_stored(static_cast<float>(0.001 + random.uniform()), type);
        grid.zeros.data()[i] = static_cast<std::uint8_t>(random.below(levels));
      }
      QuantizedMatrix matrix{Matrix<std::uint8_t>(7, 13), grid, {}, {}, {}};
      Matrix<std::uint8_t> planes(7, 13);
      for (Index i = 0; i < planes.size(); ++i) {
        matrix.codes.data()[i] = static_cast<std::uint8_t>(random.below(levels));
        planes.data()[i] = binary_code(matrix.codes.data()[i], bits);
      }
      const BinaryGrid binary = to_binary(grid);
      CHECK(dequantize(planes, binary) == dequantize(matrix));
      CHECK(stored_bits(binary, 13) == 7 * (13 * bits + 3 * (bits + 1) * 32));
      for (Index g = 0; g < 3; ++g)
        for (int i = 1; i < bits; ++i) CHECK(binary.alphas(0, g * bits + i - 1) == 2 * binary.alphas(0, g * bits + i));
    }
}

TEST_CASE("bits per weight: k planes and k + 1 numbers a group") {
  const auto bits_per_weight = [](int k, Index in, Index group) {
    const Index groups = in / group;
    const BinaryGrid grid{k, group, DType::F16, Matrix<float>(8, groups * k, 0.0f), Matrix<float>(8, groups, 0.0f)};
    return static_cast<double>(stored_bits(grid, in)) / static_cast<double>(8 * in);
  };
  CHECK(bits_per_weight(3, 4096, 4096) == 3.015625);
  CHECK(bits_per_weight(3, 4096, 128) == 3.5);
  CHECK(bits_per_weight(2, 4096, 128) == 2.375);
}

TEST_CASE("dequantize takes a group index and refuses one that does not fit") {
  const BinaryGrid grid{2, 2, DType::F16, Matrix<float>(1, 4, 1.0f), Matrix<float>(1, 2, 0.0f)};
  BinaryGrid shifted = grid;
  shifted.biases(0, 1) = 100.0f;
  const Matrix<std::uint8_t> codes(1, 3, std::uint8_t{3});
  const std::vector<std::int32_t> groups{1, 0, 1};
  const auto values = dequantize(codes, shifted, groups);
  CHECK(values(0, 0) == 102.0f);
  CHECK(values(0, 1) == 2.0f);
  CHECK(values(0, 2) == 102.0f);
  CHECK_THROWS_AS(dequantize(Matrix<std::uint8_t>(1, 5, std::uint8_t{0}), grid), Error);
  CHECK_THROWS_AS(dequantize(Matrix<std::uint8_t>(2, 3, std::uint8_t{0}), grid), Error);
  CHECK_THROWS_AS(dequantize(Matrix<std::uint8_t>(1, 4, std::uint8_t{0}), grid, groups), Error);
}

TEST_CASE("candidates refuse options that make no grid") {
  GridOptions grid;
  grid.bits = 5;
  CHECK_THROWS_WITH(BinaryCandidates("gptqt", grid, {}), Catch::Contains("gptqt") && Catch::Contains("'bits' is 5"));
  grid.bits = 4;
  CHECK_THROWS_WITH(BinaryCandidates("gptqt", grid, {.step1_bits = 3}), Catch::Contains("'step1_bits' is 3"));
  CHECK_THROWS_WITH(BinaryCandidates("gptqt", grid, {.step1_bits = 7}), Catch::Contains("3 .. 6"));
}
