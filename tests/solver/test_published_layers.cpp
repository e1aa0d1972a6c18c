// Layers that the authors' own programs have quantised, on the CPU in float: GPTAQ (mode `reference` with blocks of
// 128, equal to mode `pre` with one block) and OWQ (the two-dimensional L2.4 search and min-max, both orders).
#include <catch2/catch.hpp>
#include <filesystem>

#include "halftone/format/safetensors.hpp"
#include "halftone/solver/gptqv2.hpp"
#include "halftone/solver/owq.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const std::filesystem::path folder = HALFTONE_TEST_DATA;

Matrix<std::uint8_t> bytes_of(const TensorSource& file, const std::string& name) {
  const TensorInfo& info = file.info(name);
  const auto* data = reinterpret_cast<const std::uint8_t*>(file.bytes(name).data());
  return Matrix<std::uint8_t>(
      MatrixView<const std::uint8_t>(data, info.shape[0], info.shape.size() > 1 ? info.shape[1] : 1));
}

}  // namespace

TEST_CASE("GPTAQ's own program gives the same codes") {
  const SafetensorsFile file(folder / "gptaq_layer" / "layer.safetensors");
  const Context<Cpu> context(2);
  const Matrix<float> W = file.matrix("W");
  const auto statistics = InputStatistics<float>::from_sums(context, 1024, file.matrix("H"), file.matrix("D"));
  for (int bits : {4, 3, 2})
    for (bool act_order : {false, true})
      for (std::int64_t block : {128, 320}) {
        CAPTURE(bits, act_order, block);
        GptqV2Options options;
        options.grid = {.bits = bits, .group_size = -1, .scale_type = ScaleType::F16};
        options.act_order = act_order;
        options.block_size = block;
        options.target.second = SecondMode::Reference;
        const std::string name =
            "w" + std::to_string(bits) + (act_order ? "_act" : "") + "_b" + std::to_string(block) + ".codes";
        const GptqV2Solver<float, Cpu> solver(context, options);
        const QuantizedMatrix result = solver.quantize(W, solver.prepare(statistics));
        CHECK(share_of_differences(result.codes, bytes_of(file, name)) <= 0.005);
        if (block == 320) {  // one block: the two modes agree, and with any block size mode `pre` gives the same
          options.block_size = 64;
          options.target.second = SecondMode::Pre;
          const GptqV2Solver<float, Cpu> pre(context, options);
          CHECK(share_of_differences(pre.quantize(W, pre.prepare(statistics)).codes, bytes_of(file, name)) <= 0.005);
        }
      }
}

TEST_CASE("OWQ's own program keeps the same columns and gives the same codes") {
  const SafetensorsFile file(folder / "owq_layer" / "layer.safetensors");
  const Context<Cpu> context(2);
  const Matrix<float> W = file.matrix("W"), H = file.matrix("H");
  const auto statistics = InputStatistics<float>::from_sums(context, 1024, H);
  for (int bits : {4, 3})
    for (bool search : {true, false})
      for (bool act_order : {false, true}) {
        const std::string name = "w" + std::to_string(bits) + (search ? "_l24" : "_minmax") + (act_order ? "_act" : "");
        CAPTURE(name);
        OwqOptions options;
        options.grid = {.bits = bits,
                        .group_size = -1,
                        .search = search ? GridSearch::Owq : GridSearch::MinMax,
                        .scale_type = ScaleType::F32};
        options.act_order = act_order;
        options.outliers.outlier_columns = 6;
        const OwqSolver<float, Cpu> solver(context, options);
        const QuantizedMatrix result = solver.quantize(W, solver.prepare(statistics));

        const auto* ids = reinterpret_cast<const std::int32_t*>(file.bytes(name + ".outlier_ids").data());
        REQUIRE(result.outliers.columns == std::vector<std::int32_t>(ids, ids + 6));
        CHECK(share_of_differences(result.codes, bytes_of(file, name + ".codes")) <= 0.005);

        // The objective of what the program stored.
        QuantizedMatrix stored = result;
        stored.codes = bytes_of(file, name + ".codes");
        stored.outliers.values = file.matrix(name + ".outliers");
        CHECK(naive_relative_error(dequantize(result), W, H) ==
              Approx(naive_relative_error(dequantize(stored), W, H)).epsilon(1e-4));
      }
}
