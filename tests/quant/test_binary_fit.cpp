// The binary-coded grids of a whole matrix: what is compensated is what is stored.
#include "halftone/quant/binary_fit.hpp"

#include <catch2/catch.hpp>

#include <cmath>

#include "halftone/backend/quantize.hpp"
#include "halftone/quant/grid_fit.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

GridOptions grid_options(int bits, std::int64_t group_size, ScaleType type = ScaleType::F16) {
  GridOptions options;
  options.bits = bits;
  options.group_size = group_size;
  options.scale_type = type;
  return options;
}

/// Rounds W [rows, in] with grids fitted to it.
template <class S>
struct Rounded {
  Matrix<S> values;
  Matrix<std::uint8_t> codes;
  BinaryGrid grid;

  Rounded(const Context<Cpu>& context, const GridOptions& options, const BinaryOptions& binary, const Matrix<S>& W,
          const S* importance)
      : values(W), codes(W.rows(), W.cols()) {
    const BinaryCandidates candidates("test", options, binary);
    BinaryGrids<S, Cpu> grids(context, candidates, options, W.rows(), options.groups(W.cols()));
    grids.fit_all(context, W, importance);
    const auto groups = groups_of_columns(W.cols(), options.group_columns(W.cols()));
    round_block<S>(context, grids.cells(groups.data()), values, codes);
    grid = grids.stored(context, W.cols());
  }
};

}  // namespace

TEMPLATE_TEST_CASE("rounded values are what the stored grid decodes, bit for bit", "", float, double) {
  using S = TestType;
  const Context<Cpu> context(2);
  for (int bits : {2, 3, 4})
    for (std::int64_t group_size : {-1, 1, 7, 64})
      for (ScaleType type : {ScaleType::F16, ScaleType::BF16, ScaleType::F32})
        for (bool strict : {false, true}) {
          CAPTURE(bits, group_size, static_cast<int>(type), strict);
          const auto W = random_matrix<S>(9, 45, 1, 0.02);
          const Rounded<S> rounded(context, grid_options(bits, group_size, type), {.step1_bits = 4, .strict = strict},
                                   W, nullptr);
          const auto decoded = dequantize(rounded.codes, rounded.grid);
          for (Index i = 0; i < decoded.size(); ++i)
            REQUIRE(static_cast<S>(decoded.data()[i]) == rounded.values.data()[i]);
          for (Index i = 0; i < rounded.grid.alphas.size(); ++i) {
            const float alpha = rounded.grid.alphas.data()[i];
            REQUIRE(alpha == round_stored(alpha, type));
            REQUIRE(alpha >= 0);
            if (i % bits != 0) REQUIRE(alpha <= rounded.grid.alphas.data()[i - 1]);
          }
        }
}

TEST_CASE("fit_all is fit group by group, for any number of threads") {
  const auto W = random_matrix<float>(150, 50, 2);
  const auto importance = random_matrix<float>(1, 50, 3);
  Matrix<float> squares(1, 50);
  for (Index j = 0; j < 50; ++j) squares(0, j) = importance(0, j) * importance(0, j);
  const GridOptions options = grid_options(3, 16);
  const BinaryCandidates candidates("test", options, {});
  const auto fitted = [&](int threads, bool all) {
    const Context<Cpu> context(threads);
    BinaryGrids<float, Cpu> grids(context, candidates, options, 150, 4);
    if (all)
      grids.fit_all(context, W, squares.data());
    else
      for (Index g = 0; g < 4; ++g)
        grids.fit(context, g, W.view().middle_cols(16 * g, g == 3 ? 2 : 16), squares.data() + 16 * g);
    return grids.stored(context, 50);
  };
  const BinaryGrid reference = fitted(1, false);
  for (const BinaryGrid& grid : {fitted(3, false), fitted(1, true), fitted(3, true)}) {
    CHECK(grid.alphas == reference.alphas);
    CHECK(grid.biases == reference.biases);
  }
  CHECK(reference.group_size == 16);
}

TEST_CASE("a group of one column comes as near as the candidates reach, and zeros stay zero") {
  const Context<Cpu> context(1);
  auto W = random_matrix<float>(8, 6, 4);
  W(3, 2) = 0.0f;
  const Rounded<float> rounded(context, grid_options(3, 1), {}, W, nullptr);
  CHECK(rounded.values(3, 2) == 0.0f);
  for (Index i = 0; i < W.size(); ++i)  // of a one-sided range: 1.1 times the 0.7 that lie on one side of a centre
    CHECK(std::abs(rounded.values.data()[i] - W.data()[i]) <= 0.2305f * std::abs(W.data()[i]));
}

TEST_CASE("straight rounding is never worse per element than strict rounding to the same levels") {
  const auto W = random_matrix<float>(20, 64, 5);
  const GridOptions options = grid_options(3, -1, ScaleType::F32);
  const Context<Cpu> context(1);
  const Rounded<float> strict(context, options, {.step1_bits = 4, .strict = true}, W, nullptr);
  Index differing = 0;
  for (Index r = 0; r < 20; ++r) {
    float levels[8], thresholds[7];
    std::uint8_t codes[8];
    ascending_levels(strict.grid.alphas.row(r), 1, strict.grid.biases(r, 0), 3, levels, codes);
    for (int m = 0; m < 7; ++m) thresholds[m] = threshold_between(levels[m], levels[m + 1]);
    for (Index j = 0; j < 64; ++j) {
      const float straight = levels[find_level(W(r, j), thresholds, 1, 8)];
      REQUIRE(std::abs(straight - W(r, j)) <= std::abs(strict.values(r, j) - W(r, j)));
      differing += straight != strict.values(r, j);
    }
  }
  CHECK(differing > 0);
}

TEST_CASE("float16 parameters cost nothing: a millionth of the values' energy") {
  const auto W = random_matrix<float>(64, 128, 6, 0.02);
  const Context<Cpu> context(2);
  const Rounded<float> rounded(context, grid_options(3, -1, ScaleType::F32), {}, W, nullptr);
  BinaryGrid half = rounded.grid;
  for (Matrix<float>* parameters : {&half.alphas, &half.biases})
    for (Index i = 0; i < parameters->size(); ++i)
      parameters->data()[i] = round_stored(parameters->data()[i], ScaleType::F16);
  const auto exact = dequantize(rounded.codes, rounded.grid), stored = dequantize(rounded.codes, half);
  double change = 0, energy = 0;
  for (Index i = 0; i < exact.size(); ++i) {
    change += std::pow(static_cast<double>(stored.data()[i] - exact.data()[i]), 2);
    energy += std::pow(static_cast<double>(exact.data()[i]), 2);
  }
  CHECK(change > 0);
  CHECK(change < 1e-6 * energy);
}
