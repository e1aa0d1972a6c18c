// Packing and decoding, bit for bit the CPU's.
#include "halftone/quant/binary_grid.hpp"
#include "halftone/quant/cuda_dequantize.hpp"
#include "halftone/solver/quantizer.hpp"
#include "support.hpp"
#include "two_streams.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("codes are packed into the CPU's words, and come back") {
  HALFTONE_DEVICE_CASE(context);
  for (const int bits : {2, 3, 4, 5, 8})
    for (const Index cols : {1, 11, 32, 100})
      for (const WordLayout layout : {WordLayout::Rows, WordLayout::Columns}) {
        Matrix<std::uint8_t> codes(5, cols);
        for (Index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(i * 37 % (1 << bits));
        const Matrix<std::uint32_t> wanted = pack_codes(codes, bits, layout);
        const auto there = on_device(context, codes);
        auto words = context.allocate<std::uint32_t>(wanted.rows(), wanted.cols());
        pack_codes(context, there.view(), bits, layout, words.view());
        CHECK(on_host(context, words) == wanted);
        auto back = context.allocate<std::uint8_t>(5, cols);
        unpack_codes(context, std::as_const(words).view(), bits, layout, back.view());
        CHECK(on_host(context, back) == codes);
      }
  Matrix<std::uint8_t> codes(3, 9, 7);
  codes(1, 4) = 8;
  const auto there = on_device(context, codes);
  auto words = context.allocate<std::uint32_t>(3, 1);
  CHECK(error_of([&] { pack_codes(context, there.view(), 3, WordLayout::Rows, words.view()); }) ==
        "invalid_argument: pack_codes: the code at row 1, column 4 is 8, wanted 3 bits");
  CHECK(error_of([&] {
          pack_codes(context, there.view(), 4, WordLayout::Rows, words.view());
        }).find("shape_mismatch") == 0);
  CHECK(error_of([&] {
          pack_codes(context, there.view(), 1, WordLayout::Rows, words.view());
        }).find("invalid_argument") == 0);
}

TEST_CASE("results decode to the host's values, outlier columns and group index included") {
  HALFTONE_DEVICE_CASE(context);
  const Context<Cpu> cpu(1);
  const auto statistics = full_statistics(cpu, 48, 200, 7, -1);
  const auto W = random_matrix<float>(9, 48, 8, 0.05);
  const OptionMap common{{"bits", "3"}, {"group_size", "16"}};
  for (const auto& [method, option, value] :
       {std::tuple("gptq", "act_order", "true"), std::tuple("gptq", "groups", "fresh"),
        std::tuple("owq", "outlier_columns", "3"), std::tuple("gptqt", "outlier_columns", "2")}) {
    INFO(method << " " << option);
    OptionMap options = common;
    options[option] = value;
    const QuantizedMatrix matrix = make_quantizer(cpu, method, options)->quantize(W, statistics);
    CHECK(on_host(context, dequantize(context, matrix)) == dequantize(matrix));
  }
}

TEST_CASE("codes decode to what every format decodes to") {
  HALFTONE_DEVICE_CASE(context);
  const Index rows = 9, cols = 50, groups = 4, bits = 3;
  Matrix<std::uint8_t> codes(rows, cols);
  for (Index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(i * 5 % 8);
  std::vector<std::int32_t> group(cols);
  for (Index j = 0; j < cols; ++j) group[static_cast<std::size_t>(j)] = static_cast<std::int32_t>(j * 3 % groups);
  const auto scales = random_matrix<float>(groups, rows, 1), zeros = random_matrix<float>(groups, rows, 2);
  const auto alphas = random_matrix<float>(groups * bits, rows, 3), biases = random_matrix<float>(groups, rows, 4);
  const auto there_codes = on_device(context, codes);
  const auto there_scales = on_device(context, scales), there_zeros = on_device(context, zeros);
  const auto there_alphas = on_device(context, alphas), there_biases = on_device(context, biases);
  auto values = context.allocate<float>(rows, cols), planes = context.allocate<float>(rows, cols);
  decode_block(context, UniformCells<float>{there_scales.view(), there_zeros.view(), group.data(), 7},
               there_codes.view(), values.view());
  decode_block(context, there_alphas.view(), there_biases.view(), static_cast<int>(bits), group.data(),
               there_codes.view(), planes.view());
  Matrix<float> wanted(rows, cols), wanted_planes(rows, cols);
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < cols; ++j) {
      const Index g = group[static_cast<std::size_t>(j)];
      wanted(r, j) = decode(static_cast<float>(codes(r, j)), scales(g, r), zeros(g, r));
      wanted_planes(r, j) =
          decode_binary(codes(r, j), &alphas(g * bits, r), rows, biases(g, r), static_cast<int>(bits));
    }
  CHECK(on_host(context, values) == wanted);
  CHECK(on_host(context, planes) == wanted_planes);
}
