// What holds for every format: whatever it accepts comes back as it was.
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/format/checkpoint.hpp"
#include "halftone/format/safetensors_writer.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const Json llama = {{"model_type", "llama"}, {"zebra", 1}, {"hidden_size", 64}, {"apple", nullptr}};

/// Adapted plan, or nothing if the format cannot express it.
std::optional<MatrixPlan> accepted(const Format& format, MatrixPlan plan) {
  format.adapt(plan.grid, plan.dtype, false);
  try {
    format.check(plan);
  } catch (const Error& error) {
    CHECK(error.status() == Status::Unsupported);
    CHECK_THAT(error.what(), Catch::Contains(plan.module));
    CHECK_THAT(error.what(), Catch::Contains(std::string(format.name())));
    return std::nullopt;
  }
  return plan;
}

Json described(const Format& format, const MatrixPlan& plan) {
  Json config = llama;
  format.describe(config, std::span(&plan, 1), std::span<const std::string>());
  return config;
}

}  // namespace

TEST_CASE("every format gives back every matrix that it accepts") {
  const std::pair<Index, Index> shapes[] = {{1, 1}, {3, 5}, {32, 32}, {64, 96}, {33, 88}, {32, 224}};
  int expressed = 0;
  for (const Format* format : formats())
    for (const auto& [rows, cols] : shapes)
      for (int bits = 2; bits <= 8; ++bits)
        for (const Index group_size : {-1, 1, 8, 32, 64, 1000})
          for (const bool symmetric : {false, true})
            for (int form = 0; form < 8; ++form) {
              const bool group_index = form & 1, binary = form & 2, outliers = form & 4;
              MatrixPlan wanted = plan_for(rows, cols, bits, group_size, symmetric);
              wanted.group_index = group_index;
              wanted.binary_coded = binary;
              wanted.outlier_columns = outliers ? std::min<Index>(cols, 3) : 0;
              const auto plan = accepted(*format, wanted);
              if (!plan) continue;
              INFO(format->name() << " [" << rows << ", " << cols << "] bits " << bits << " group " << group_size
                                  << " sym " << symmetric << " index " << group_index << " binary " << binary
                                  << " outliers " << outliers);
              ++expressed;
              const QuantizedMatrix matrix = random_result(*plan);
              const MemorySource source = encoded(*format, *plan, matrix);
              const Json config = described(*format, *plan);
              CHECK_NOTHROW(format->verify(*plan, matrix, source, config));
              CHECK(format->decode(source, config, "model.layers.1.mlp.up_proj") == nullptr);
              const auto stored = format->decode(source, config, plan->module);
              CHECK((stored == nullptr) == (format->name() == "dense"));
              if (!stored) continue;
              CHECK(same_codes(*stored, matrix));
              CHECK(dequantize(*stored) == format->stored_values(*plan, matrix));
              CHECK(detect_format(config) == format);
            }
  CHECK(expressed > 1000);
}

TEST_CASE("verify finds a single wrong bit and says where") {
  for (const Format* format : formats()) {
    INFO(format->name());
    MatrixPlan plan = plan_for(32, 64, 4, 32, false);
    format->adapt(plan.grid, plan.dtype, false);
    const QuantizedMatrix matrix = random_result(plan);
    const MemorySource good = encoded(*format, plan, matrix);
    const Json config = described(*format, plan);
    for (const TensorInfo& info : format->tensors(plan)) {
      if (info.name.ends_with("shape")) continue;
      MemorySource bad = good;
      bad.data(info.name)[info.name.ends_with("g_idx") ? 0 : 1] ^= std::byte{1};
      expect_error(Status::Internal, {plan.module}, [&] { format->verify(plan, matrix, bad, config); });
    }
    MemorySource gone = good;
    gone.drop(format->tensors(plan)[0].name);
    CHECK_THROWS_AS(format->verify(plan, matrix, gone, config), Error);
  }
}

TEST_CASE("config.json keeps its keys and their order; an earlier quantisation is replaced") {
  for (const Format* format : formats()) {
    INFO(format->name());
    MatrixPlan plan = plan_for(32, 64, 4, 32, true);
    format->adapt(plan.grid, plan.dtype, false);
    Json config = llama;
    config["quantization_config"] = {{"quant_method", "awq"}};
    format->describe(config, std::span(&plan, 1), std::span<const std::string>());
    CHECK(config.dump().starts_with(R"({"model_type":"llama","zebra":1,"hidden_size":64,"apple":null)"));
    CHECK(detect_format(config) == (format->name() == "dense" ? nullptr : format));
    format->describe(config, std::span<const MatrixPlan>(), std::span<const std::string>());
    CHECK(config == llama);  // nothing quantised: a dense checkpoint
  }
}

TEST_CASE("formats are found by name, and by what a config says") {
  for (const Format* format : formats()) {
    CHECK(&find_format(format->name()) == format);
    CHECK_FALSE(format->help().empty());
  }
  std::string names;
  for (const Format* format : formats()) names += concat(names.empty() ? "" : ", ", format->name());
  expect_error(Status::NotFound, {"'awq'", names}, [] { find_format("awq"); });
  CHECK(detect_format(llama) == nullptr);
  CHECK(detect_format({{"quantization_config", nullptr}}) == nullptr);
  const auto detect = [](const char* quantization) {
    return detect_format({{"quantization_config", Json::parse(quantization)}});
  };
  CHECK(detect(R"({"quant_method":"gptq"})")->name() == "gptq");
  CHECK(detect(R"({"quant_method":"gptq","format":"gptq_v2"})")->name() == "gptq_v2");
  CHECK(detect(R"({"quant_method":"gptq","checkpoint_format":"gptq_v2"})")->name() == "gptq_v2");
  expect_error(Status::Unsupported, {"gptq_p"},
               [&] { detect(R"({"quant_method":"gptq","checkpoint_format":"gptq_p"})"); });
  expect_error(Status::Unsupported, {"'awq'"}, [&] { detect(R"({"quant_method":"awq"})"); });
  expect_error(Status::Unsupported, {"nvfp4"},
               [&] { detect(R"({"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized"})"); });
  expect_error(Status::InvalidData, {"quant_method"}, [&] { detect("{}"); });
  expect_error(Status::InvalidData, {"quant_method"}, [&] { detect("[]"); });
  expect_error(Status::InvalidData, {"quant_method"}, [&] { detect(R"({"quant_method":7})"); });
}

TEST_CASE("a written directory reads as a checkpoint") {
  for (const Format* format : formats()) {
    INFO(format->name());
    const TemporaryFolder folder;
    MatrixPlan plan = plan_for(32, 64, 4, 32, false);
    format->adapt(plan.grid, plan.dtype, false);
    const QuantizedMatrix matrix = random_result(plan);
    auto tensors = format->tensors(plan);
    tensors.push_back({"model.norm.weight", DType::F32, {2}});
    ShardedWriter writer(folder.path(), tensors, WriteMode::Create);
    format->encode(plan, matrix, [&](std::string_view name, auto bytes) { writer.write(name, bytes); });
    const float norm[] = {1, 2};
    writer.write("model.norm.weight", std::as_bytes(std::span(norm)));
    writer.finish();
    const Json config = described(*format, plan);
    put(folder / "config.json", json_text(config));
    for (const auto& [name, text] : format->side_files(config)) put(folder / name, text);
    for (const char* name :
         {"tokenizer.json", "LICENSE", "pytorch_model.bin", ".hidden", "model.safetensors.index.json.lock"})
      put(folder / name, "x");

    const Checkpoint checkpoint(folder.path());
    CHECK(checkpoint.format() == (format->name() == "dense" ? nullptr : format));
    CHECK(checkpoint.weight(plan.module) == format->stored_values(plan, matrix));
    CHECK((checkpoint.quantized(plan.module) == nullptr) == (format->name() == "dense"));
    CHECK(checkpoint.weight("model.norm")(0, 1) == 2);
    CHECK(checkpoint.quantized("model.norm") == nullptr);
    CHECK(checkpoint.config() == config);
    CHECK(checkpoint.side_files() == std::vector<std::filesystem::path>{folder / "LICENSE", folder / "tokenizer.json"});
    expect_error(Status::NotFound, {"'lm_head.weight'"}, [&] { checkpoint.weight("lm_head"); });
  }
}

TEST_CASE("directories that are no checkpoints are refused") {
  const TemporaryFolder folder;
  expect_error(Status::NotFound, {"no such directory"}, [&] { Checkpoint(folder / "nothing"); });
  expect_error(Status::NotFound, {"config.json"}, [&] { Checkpoint{folder.path()}; });
  for (const char* text : {"", "{", "[]", "3", "{\"a\":1,\"a\":2}"}) {
    put(folder / "config.json", text);
    expect_error(Status::InvalidData, {"config.json"}, [&] { Checkpoint{folder.path()}; });
  }
  put(folder / "config.json", "{}");
  expect_error(Status::NotFound, {"model.safetensors"}, [&] { Checkpoint{folder.path()}; });
  put(folder / "model.safetensors", safetensors_bytes("{}"));
  CHECK(Checkpoint{folder.path()}.tensors().tensors().empty());
  put(folder / "config.json", R"({"quantization_config":{"quant_method":"awq"}})");
  expect_error(Status::Unsupported, {folder.path().string(), "'awq'"}, [&] { Checkpoint{folder.path()}; });
}
