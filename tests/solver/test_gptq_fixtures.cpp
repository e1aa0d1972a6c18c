// Layers that another program's GPTQ has quantised (llmcompressor 0.14, CPU, float; tests/data/gptq_layers/make.py).
//
// Tolerances: a symmetric grid puts the largest weight of a group exactly on a tie, where float may fall either way and
// take the rest of the row along: 98 % of the codes and a loss within 0.5 %. Elsewhere 99.9 % and 1e-4.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "halftone/format/safetensors.hpp"
#include "support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const std::filesystem::path folder = std::filesystem::path(HALFTONE_TEST_DATA) / "gptq_layers";

/// An int8 tensor [rows, cols] as codes: value + 2^(bits−1).
Matrix<std::uint8_t> shifted(const TensorSource& file, const std::string& name, int bits) {
  const TensorInfo& info = file.info(name);
  const std::span<const std::byte> bytes = file.bytes(name);
  Matrix<std::uint8_t> codes(info.shape[0], info.shape[1]);
  for (Index i = 0; i < codes.size(); ++i)
    codes.data()[i] =
        static_cast<std::uint8_t>(static_cast<std::int8_t>(bytes[static_cast<std::size_t>(i)]) + (1 << (bits - 1)));
  return codes;
}

GptqOptions options_of(const nlohmann::json& how, double damping, std::int64_t block) {
  GptqOptions options = gptq_options(how["bits"], how["group"], !how["order"].is_null(), GroupMode::Static, block);
  options.grid.symmetric = how["symmetric"];
  options.grid.scale_type = ScaleType::F32;
  options.damping = damping;
  return options;
}

}  // namespace

TEST_CASE("another program's GPTQ gives the same grids, codes and loss") {
  const nlohmann::json expected = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  const Context<Cpu> context(2);
  for (const auto& [layer, settings] : expected["layers"].items()) {
    const SafetensorsFile file(folder / (layer + ".safetensors"));
    const Matrix<float> W = file.matrix("W"), H = file.matrix("H");
    const auto statistics = InputStatistics<float>::from_sums(context, 256, H);
    for (const auto& [name, how] : settings.items()) {
      CAPTURE(layer, name);
      const GptqSolver<float, Cpu> solver(context, options_of(how, expected["damping"], expected["block"]));
      const GridOptions& grid = solver.grid();
      const QuantizedMatrix result = solver.quantize(W, solver.prepare(statistics));
      const Matrix<float> scales = file.matrix(name + ".scale");
      REQUIRE(result.uniform().scales.cols() == scales.cols());
      for (Index i = 0; i < scales.size(); ++i)
        CHECK(result.uniform().scales.data()[i] == Approx(scales.data()[i]).epsilon(1e-6));
      if (!grid.symmetric) CHECK(result.uniform().zeros == shifted(file, name + ".zero", grid.bits));
      const double codes = grid.symmetric ? 0.02 : 0.001, loss = grid.symmetric ? 5e-3 : 1e-4;
      CHECK(share_of_differences(result.codes, shifted(file, name + ".codes", grid.bits)) <= codes);
      CHECK(naive_relative_error(dequantize(result), W, H) == Approx(how["loss"].get<double>()).epsilon(loss));
      CHECK(result.report.relative_error == Approx(how["loss"].get<double>()).epsilon(loss + 1e-3));
    }
  }
}

TEST_CASE("another program's rounding to nearest gives the same loss") {
  const nlohmann::json expected = nlohmann::json::parse(std::ifstream(folder / "expected.json"));
  const Context<Cpu> context(1);
  for (const auto& [layer, settings] : expected["layers"].items()) {
    const SafetensorsFile file(folder / (layer + ".safetensors"));
    const Matrix<float> W = file.matrix("W"), H = file.matrix("H");
    const auto statistics = InputStatistics<float>::from_sums(context, 256, H);
    for (const auto& [name, how] : settings.items()) {
      CAPTURE(layer, name);
      const RtnSolver<float, Cpu> solver(context, RtnOptions{options_of(how, 0.01, 128).grid});
      const double loss = how["symmetric"] ? 5e-3 : 1e-4;
      CHECK(solver.quantize(W, solver.prepare(statistics)).report.relative_error ==
            Approx(how["loss_rtn"].get<double>()).epsilon(loss));
    }
  }
}
