#include "halftone/format/gptq.hpp"

#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/core/version.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const std::string module_name = "model.layers.0.mlp.up_proj";

/// Field of `bits` bits at position `j` of a stream whose words are `word(k)`, bit by bit.
template <class Word>
int field(Word word, Index j, int bits) {
  int value = 0;
  for (int k = 0; k < bits; ++k) value |= static_cast<int>(word((j * bits + k) / 32) >> (j * bits + k) % 32 & 1) << k;
  return value;
}

MatrixPlan adapted(const Format& format, MatrixPlan plan) {
  format.adapt(plan.grid, plan.dtype, false);
  return plan;
}

Json describe(const Format& format, const std::vector<MatrixPlan>& plans, const std::vector<std::string>& kept = {}) {
  Json config = Json::object();
  format.describe(config, plans, kept);
  return config.at("quantization_config");
}

}  // namespace

TEST_CASE("a plain reader of GPTQ files decodes what is written") {
  for (const int version : {1, 2})
    for (const int bits : {2, 3, 4, 8})
      for (const bool group_index : {false, true}) {
        const GptqFormat format(version);
        MatrixPlan wanted = plan_for(32, 96, bits, 32, false);
        wanted.group_index = group_index;
        const MatrixPlan plan = adapted(format, wanted);
        const QuantizedMatrix matrix = random_result(plan);
        const MemorySource file = encoded(format, plan, matrix);
        CHECK(file.info(module_name + ".qweight").shape == std::vector<std::int64_t>{96 * bits / 32, 32});
        CHECK(file.info(module_name + ".qzeros").shape == std::vector<std::int64_t>{3, 32 * bits / 32});
        CHECK(file.info(module_name + ".scales").shape == std::vector<std::int64_t>{3, 32});
        CHECK(file.info(module_name + ".scales").dtype == DType::F16);
        const Matrix<float> values = dequantize(matrix), scales = file.matrix(module_name + ".scales");
        bool equal = true;
        for (Index o = 0; o < 32; ++o)
          for (Index i = 0; i < 96; ++i) {
            const auto g = file.at<std::int32_t>(module_name + ".g_idx", static_cast<std::size_t>(i));
            const int code = field(
                [&](Index w) {
                  return file.at<std::uint32_t>(module_name + ".qweight", static_cast<std::size_t>(w * 32 + o));
                },
                i, bits);
            const int zero =
                field(
                    [&](Index w) {
                      return file.at<std::uint32_t>(module_name + ".qzeros", static_cast<std::size_t>(g * bits + w));
                    },
                    o, bits) +
                (version == 1 ? 1 : 0);
            equal = equal && scales(g, o) * static_cast<float>(code - zero) == values(o, i);
          }
        CHECK(equal);
      }
}

TEST_CASE("symmetric zeros are the words that readers know") {
  const std::pair<int, std::vector<std::uint32_t>> words[] = {
      {2, {0xAAAAAAAA, 0x55555555}}, {4, {0x88888888, 0x77777777}}, {8, {0x80808080, 0x7F7F7F7F}}};
  for (const auto& [bits, expected] : words)
    for (const int version : {2, 1}) {
      const GptqFormat format(version);
      const MatrixPlan plan = adapted(format, plan_for(32, 32, bits, -1, true));
      const MemorySource file = encoded(format, plan, random_result(plan));
      for (std::size_t w = 0; w < static_cast<std::size_t>(bits); ++w)
        CHECK(file.at<std::uint32_t>(module_name + ".qzeros", w) == expected[version == 1]);
    }
  const GptqFormat v1(1);
  const MatrixPlan plan = adapted(v1, plan_for(32, 32, 3, -1, true));
  const MemorySource file = encoded(v1, plan, random_result(plan));
  CHECK(file.at<std::uint32_t>(module_name + ".qzeros", 0) == 0xDB6DB6DB);
  CHECK(file.at<std::uint32_t>(module_name + ".qzeros", 1) == 0xB6DB6DB6);
  CHECK(file.at<std::uint32_t>(module_name + ".qzeros", 2) == 0x6DB6DB6D);
}

TEST_CASE("a zero point of 0 goes into v2 and never wraps into its neighbours in v1") {
  // Whole-word subtraction would make 0x7777776F of these zeros 0, 8, 8, ...: the first 15, the second 6.
  QuantizedMatrix matrix;
  {
    MatrixPlan plan = plan_for(32, 32, 4, -1, false);
    matrix = random_result(plan);
    matrix.uniform().zeros.fill(8);
    matrix.uniform().zeros(0, 0) = 0;
  }
  const GptqFormat v1(1), v2(2);
  const MatrixPlan plan2 = adapted(v2, plan_for(32, 32, 4, -1, false));
  CHECK(plan2.grid.minimum_zero == 0);
  const MemorySource file = encoded(v2, plan2, matrix);
  CHECK(file.at<std::uint32_t>(module_name + ".qzeros", 0) == 0x88888880);

  const MatrixPlan plan1 = adapted(v1, plan_for(32, 32, 4, -1, false));
  CHECK(plan1.grid.minimum_zero == 1);
  expect_error(Status::Unsupported, {module_name, "zero point of 0"},
               [&] { v1.encode(plan1, matrix, [](auto, auto) {}); });
  expect_error(Status::Unsupported, {module_name, "minimum_zero 1", "gptq_v2"},
               [&] { v1.check(plan_for(32, 32, 4, -1, false)); });
  matrix.uniform().zeros(0, 0) = 1;
  CHECK(encoded(v1, plan1, matrix).at<std::uint32_t>(module_name + ".qzeros", 0) == 0x77777770);
}

TEST_CASE("what GPTQ files cannot hold is refused before the solve, in a sentence") {
  const GptqFormat format(1);
  const auto refused = [&](Index rows, Index cols, int bits, std::initializer_list<std::string_view> words) {
    const MatrixPlan plan = adapted(format, plan_for(rows, cols, bits, 128, true));
    expect_error(Status::Unsupported, words, [&] { format.check(plan); });
  };
  for (const int bits : {5, 6, 7}) refused(32, 32, bits, {module_name, "gptq", "bits", "2, 3, 4, 8"});
  refused(40, 32, 4, {module_name, "multiples of 32", "40 outputs", "32 inputs"});
  refused(32, 2730, 4, {module_name, "multiples of 32", "32 outputs", "2730 inputs"});
  refused(0, 32, 4, {module_name, "empty"});
  MatrixPlan wide = adapted(format, plan_for(32, 32, 4, 128, true));
  wide.grid.scale_type = ScaleType::F32;
  expect_error(Status::Unsupported, {module_name, "f32"}, [&] { format.check(wide); });
  MatrixPlan bf16 = plan_for(32, 32, 4, 32, true);
  bf16.grid.scale_type = ScaleType::BF16;
  format.adapt(bf16.grid, DType::BF16, true);
  CHECK(bf16.grid.scale_type == ScaleType::BF16);
  CHECK(format.tensors(bf16)[2].dtype == DType::BF16);
}

TEST_CASE("the config says what loaders ask for") {
  const GptqFormat format(2);
  MatrixPlan plan = adapted(format, plan_for(32, 64, 3, 32, true));
  plan.act_order = true;
  const Json config = describe(format, {plan}, {"lm_head"});
  CHECK(config.at("quant_method") == "gptq");
  CHECK(config.at("bits") == 3);
  CHECK(config.at("group_size") == 32);
  CHECK(config.at("sym") == true);
  CHECK(config.at("desc_act") == false);  // static groups leave g_idx plain: the safest output
  CHECK(config.at("static_groups") == true);
  CHECK(config.at("lm_head") == false);
  CHECK(config.at("checkpoint_format") == "gptq_v2");
  CHECK(config.at("pack_dtype") == "int32");
  CHECK(config.at("meta").at("quantizer") == Json::array({"halftone:" + std::string(library_version())}));
  CHECK_FALSE(config.contains("dynamic"));
  plan.group_index = true;
  CHECK(describe(format, {plan}).at("desc_act") == true);
  Json whole = {{"quantization_config", config}};
  REQUIRE(format.side_files(whole).size() == 1);
  CHECK(format.side_files(whole)[0] == std::pair<std::string, std::string>("quantize_config.json", json_text(config)));
}

TEST_CASE("mixed precision becomes rules for the modules that differ") {
  const GptqFormat format(1);
  std::vector<MatrixPlan> plans;
  for (int i = 0; i < 3; ++i) {
    plans.push_back(adapted(format, plan_for(32, 64, 4, 32, false)));
    plans.back().module = "model.layers." + std::to_string(i) + ".mlp.up_proj";
  }
  plans.push_back(adapted(format, plan_for(32, 64, 8, -1, true)));
  plans.back().module = "model.layers.0.mlp.down_proj";
  const Json config = describe(format, plans, {"lm_head", "model.layers.2.self_attn.q_proj"});
  CHECK(config.at("bits") == 4);
  const Json expected = {{R"(+:^model\.layers\.0\.mlp\.down_proj$)",
                          {{"bits", 8}, {"group_size", -1}, {"sym", true}, {"desc_act", false}}},
                         {R"(-:^model\.layers\.2\.self_attn\.q_proj$)", Json::object()}};
  CHECK(config.at("dynamic") == expected);
}

TEST_CASE("GPTQ tensors that do not fit each other are refused") {
  const GptqFormat format(1);
  const MatrixPlan plan = adapted(format, plan_for(32, 64, 4, 32, false));
  const MemorySource good = encoded(format, plan, random_result(plan));
  const std::vector<std::byte> zeros(1 << 16);
  const auto with = [&](const char* suffix, DType type, std::vector<std::int64_t> shape) {
    MemorySource source = good;
    TensorInfo info{module_name + "." + suffix, type, std::move(shape)};
    source.put(info, std::span(zeros).first(static_cast<std::size_t>(info.bytes())));
    return source;
  };
  const auto refused = [&](const MemorySource& source, std::initializer_list<std::string_view> words) {
    expect_error(Status::InvalidData, words, [&] { format.decode(source, Json(), module_name); });
  };
  refused(with("qweight", DType::F32, {8, 32}), {"memory", "qweight", "no words"});
  refused(with("qweight", DType::I32, {256}), {"qweight"});
  refused(with("qweight", DType::I32, {0, 32}), {"qweight"});
  refused(with("qweight", DType::I32, {4, 32}), {"g_idx", "64 elements, wanted 32"});
  refused(with("qweight", DType::I32, {8, 33}), {"qzeros", "does not fit"});
  refused(with("qzeros", DType::I32, {2, 5}), {"qzeros", "does not fit"});
  refused(with("qzeros", DType::I32, {3, 4}), {"scales", "[2, 32]", "[3, 32]"});
  refused(with("scales", DType::F16, {2, 31}), {"scales", "[2, 31]"});
  refused(with("scales", DType::I32, {2, 32}), {"scales", "floating"});
  refused(with("g_idx", DType::I32, {63}), {"g_idx", "63 elements"});
  refused(with("g_idx", DType::F32, {64}), {"g_idx"});
  MemorySource wild = good;
  wild.data(module_name + ".g_idx")[0] = std::byte{2};
  refused(wild, {"g_idx", "group 2", "0 .. 1"});
  wild.data(module_name + ".g_idx")[3] = std::byte{0x80};
  refused(wild, {"g_idx", "wanted 0 .. 1"});
  MemorySource nan = good;
  nan.data(module_name + ".scales")[1] = std::byte{0x7e};
  refused(nan, {"scales", "nan"});
  for (const char* suffix : {".qzeros", ".scales"}) {
    MemorySource missing = good;
    missing.drop(module_name + suffix);
    expect_error(Status::NotFound, {suffix}, [&] { format.decode(missing, Json(), module_name); });
  }
  MemorySource without = good;
  without.drop(module_name + ".g_idx");  // older files: groups are consecutive
  CHECK(same_codes(*format.decode(without, Json(), module_name), *format.decode(good, Json(), module_name)));
}
