#include "halftone/format/compressed_tensors.hpp"

#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const std::string module_name = "model.layers.0.mlp.up_proj";
const CompressedTensorsFormat format;

MatrixPlan adapted(MatrixPlan plan) {
  format.adapt(plan.grid, plan.dtype, false);
  return plan;
}

Json describe(const std::vector<MatrixPlan>& plans, const std::vector<std::string>& kept = {}) {
  Json config = Json::object();
  format.describe(config, plans, kept);
  return config;
}

/// Signed code `j` of a dense stream that begins at word `first` and continues every `stride` words.
int signed_code(const MemorySource& file, const std::string& tensor, Index first, Index stride, Index j, int bits) {
  int value = 0;
  for (int k = 0; k < bits; ++k) {
    const Index bit = j * bits + k;
    const auto word = file.at<std::uint32_t>(tensor, static_cast<std::size_t>(first + bit / 32 * stride));
    value |= static_cast<int>(word >> bit % 32 & 1) << k;
  }
  return value - (1 << (bits - 1));
}

}  // namespace

TEST_CASE("a plain reader of pack-quantized files decodes what is written") {
  for (int bits = 2; bits <= 8; ++bits)
    for (const bool symmetric : {false, true}) {
      const MatrixPlan plan = adapted(plan_for(33, 88, bits, 44, symmetric));
      const QuantizedMatrix matrix = random_result(plan);
      const MemorySource file = encoded(format, plan, matrix);
      const Index words = (88 * bits + 31) / 32;
      CHECK(file.info(module_name + ".weight_packed").shape == std::vector<std::int64_t>{33, words});
      CHECK(file.info(module_name + ".weight_scale").shape == std::vector<std::int64_t>{33, 2});
      CHECK(file.info(module_name + ".weight_scale").dtype == DType::BF16);  // the model's type
      CHECK(file.at<std::int64_t>(module_name + ".weight_shape", 0) == 33);
      CHECK(file.at<std::int64_t>(module_name + ".weight_shape", 1) == 88);
      CHECK((file.find(module_name + ".weight_zero_point") == nullptr) == symmetric);
      if (!symmetric)
        CHECK(file.info(module_name + ".weight_zero_point").shape ==
              std::vector<std::int64_t>{(33 * bits + 31) / 32, 2});
      const Matrix<float> values = dequantize(matrix), scales = file.matrix(module_name + ".weight_scale");
      bool equal = true;
      for (Index o = 0; o < 33; ++o)
        for (Index i = 0; i < 88; ++i) {
          const Index g = i / 44;
          const int code = signed_code(file, module_name + ".weight_packed", o * words, 1, i, bits);
          const int zero = symmetric ? 0 : signed_code(file, module_name + ".weight_zero_point", g, 2, o, bits);
          equal = equal && scales(o, g) * static_cast<float>(code - zero) == values(o, i);
        }
      CHECK(equal);
    }
}

TEST_CASE("scales take the model's type unless another was chosen") {
  for (const auto& [model, scale] : {std::pair{DType::F32, ScaleType::F32}, std::pair{DType::F16, ScaleType::F16},
                                     std::pair{DType::BF16, ScaleType::BF16}}) {
    GridOptions grid;
    format.adapt(grid, model, false);
    CHECK(grid.scale_type == scale);
    grid.scale_type = ScaleType::F16;
    format.adapt(grid, model, true);
    CHECK(grid.scale_type == ScaleType::F16);
  }
}

TEST_CASE("what pack-quantized cannot hold is refused before the solve, in a sentence") {
  MatrixPlan ordered = adapted(plan_for(32, 64, 4, 32, true));
  ordered.act_order = true;
  CHECK_NOTHROW(format.check(ordered));
  ordered.group_index = true;
  expect_error(Status::Unsupported, {module_name, "group index", "static"}, [&] { format.check(ordered); });
  expect_error(Status::Unsupported, {module_name, "64", "88"},
               [&] { format.check(adapted(plan_for(32, 88, 4, 64, true))); });
  CHECK_NOTHROW(format.check(adapted(plan_for(33, 88, 4, 128, true))));  // wider than the row: one group
}

TEST_CASE("the config has a group for each setting") {
  MatrixPlan a = adapted(plan_for(32, 64, 4, 32, true)), b = a, c = adapted(plan_for(32, 64, 8, -1, false));
  b.module = "model.layers.1.mlp.up_proj";
  c.module = "model.layers.1.mlp.down_proj";
  c.act_order = true;
  const Json one = describe({a, b}, {"lm_head"}).at("quantization_config");
  CHECK(one.at("quant_method") == "compressed-tensors");
  CHECK(one.at("format") == "pack-quantized");
  CHECK(one.at("quantization_status") == "compressed");
  CHECK(one.at("ignore") == Json::array({"lm_head"}));
  CHECK(one.at("kv_cache_scheme").is_null());
  REQUIRE(one.at("config_groups").size() == 1);
  const Json& group = one.at("config_groups").at("group_0");
  CHECK(group.at("targets") == Json::array({"Linear"}));
  CHECK(group.at("input_activations").is_null());
  CHECK(group.at("weights").dump() ==
        R"({"num_bits":4,"type":"int","symmetric":true,"strategy":"group","group_size":32,"actorder":null,)"
        R"("dynamic":false,"block_structure":null,"observer":"minmax","observer_kwargs":{}})");

  const Json two = describe({a, b, c}).at("quantization_config").at("config_groups");
  REQUIRE(two.size() == 2);
  CHECK(two.at("group_0").at("targets") == Json::array({a.module, b.module}));
  CHECK(two.at("group_1").at("targets") == Json::array({c.module}));
  CHECK(two.at("group_1").at("weights").at("strategy") == "channel");
  CHECK(two.at("group_1").at("weights").at("group_size").is_null());
  CHECK(two.at("group_1").at("weights").at("actorder") == "static");
  CHECK(two.at("group_1").at("weights").at("symmetric") == false);
}

TEST_CASE("modules of different widths are read by what they are") {
  MatrixPlan a = adapted(plan_for(32, 64, 4, 32, false)), b = adapted(plan_for(32, 64, 3, 64, true));
  b.module = "model.layers.1.mlp.up_proj";
  const Json config = describe({a, b});
  for (const MatrixPlan& plan : {a, b}) {
    const QuantizedMatrix matrix = random_result(plan);
    CHECK(same_codes(*format.decode(encoded(format, plan, matrix), config, plan.module), matrix));
  }
}

TEST_CASE("the loose packing of versions before 0.18 is read") {
  for (const int bits : {3, 5, 6, 7}) {
    const MatrixPlan plan = adapted(plan_for(40, 96, bits, 48, false));
    const QuantizedMatrix matrix = random_result(plan);
    MemorySource file = encoded(format, plan, matrix);
    const Index per_word = 32 / bits;
    const auto loose = [&](const std::string& suffix, Index streams, Index codes, bool down, auto code) {
      const Index words = (codes + per_word - 1) / per_word;
      std::vector<std::uint32_t> packed(static_cast<std::size_t>(streams * words));
      for (Index i = 0; i < streams; ++i)
        for (Index j = 0; j < codes; ++j)
          packed[static_cast<std::size_t>(down ? j / per_word * streams + i : i * words + j / per_word)] |=
              static_cast<std::uint32_t>(code(i, j)) << j % per_word * bits;
      const auto shape = down ? std::vector<std::int64_t>{words, streams} : std::vector<std::int64_t>{streams, words};
      file.put({module_name + suffix, DType::I32, shape}, std::as_bytes(std::span(packed)));
    };
    loose(".weight_packed", 40, 96, false, [&](Index i, Index j) { return matrix.codes(i, j); });
    loose(".weight_zero_point", 2, 40, true, [&](Index g, Index o) { return matrix.uniform().zeros(o, g); });
    Json config = describe({plan});
    for (const char* version : {"0.17.1", "0.9.4", "0.18.0"}) {  // the shape alone tells here
      config["quantization_config"]["version"] = version;
      CHECK(same_codes(*format.decode(file, config, module_name), matrix));
    }
  }
}

TEST_CASE("where both packings have the same size, the version decides") {
  // 12 codes of 3 bits are two words either way.
  const MatrixPlan plan = adapted(plan_for(1, 12, 3, -1, true));
  QuantizedMatrix matrix = random_result(plan);
  matrix.codes.fill(0);
  matrix.codes(0, 10) = 7;
  const MemorySource file = encoded(format, plan, matrix);  // dense: bits 30 .. 32
  Json config = describe({plan});
  CHECK(format.decode(file, config, module_name)->codes(0, 10) == 7);
  config["quantization_config"]["version"] = "0.17.1";
  CHECK(format.decode(file, config, module_name)->codes(0, 10) == 1);
  config["quantization_config"].erase("version");
  CHECK(format.decode(file, config, module_name)->codes(0, 10) == 7);
}

TEST_CASE("a group index of older files is read") {
  const MatrixPlan plan = adapted(plan_for(32, 64, 4, 16, false));
  QuantizedMatrix matrix = random_result(plan);
  MemorySource file = encoded(format, plan, matrix);
  std::vector<std::int32_t> index(64);
  for (int j = 0; j < 64; ++j) index[static_cast<std::size_t>(j)] = 3 - j % 4;
  file.put({module_name + ".weight_g_idx", DType::I32, {64}}, std::as_bytes(std::span(index)));
  matrix.group_index = index;
  CHECK(same_codes(*format.decode(file, describe({plan}), module_name), matrix));
}

TEST_CASE("pack-quantized tensors that do not fit each other are refused") {
  const MatrixPlan plan = adapted(plan_for(32, 64, 4, 32, false));
  const MemorySource good = encoded(format, plan, random_result(plan));
  const Json config = describe({plan});
  const std::vector<std::byte> zeros(1 << 16);
  const auto refused = [&](const char* suffix, DType type, std::vector<std::int64_t> shape,
                           std::initializer_list<std::string_view> words) {
    MemorySource source = good;
    TensorInfo info{module_name + "." + suffix, type, std::move(shape)};
    source.put(info, std::span(zeros).first(static_cast<std::size_t>(info.bytes())));
    expect_error(Status::InvalidData, words, [&] { format.decode(source, config, module_name); });
  };
  refused("weight_packed", DType::F32, {32, 8}, {"weight_packed", "no words"});
  refused("weight_packed", DType::I32, {31, 8}, {"weight_packed", "[31, 8]", "[32, 64]"});
  refused("weight_packed", DType::I32, {32, 9}, {"weight_packed", "[32, 9]"});
  refused("weight_shape", DType::I64, {2}, {"weight_shape", "no shape"});
  refused("weight_shape", DType::I64, {3}, {"weight_shape"});
  refused("weight_shape", DType::F32, {2}, {"weight_shape"});
  refused("weight_scale", DType::BF16, {32, 3}, {"weight_scale", "divide 64"});
  refused("weight_scale", DType::BF16, {31, 2}, {"weight_scale", "[31, 2]"});
  refused("weight_scale", DType::BF16, {1}, {"weight_scale", "[1]"});
  refused("weight_zero_point", DType::I32, {5, 2}, {"weight_zero_point", "wanted [4, 2]"});
  refused("weight_zero_point", DType::I32, {4, 1}, {"weight_zero_point"});
  MemorySource huge = good;
  for (std::size_t i = 8; i < 16; ++i) huge.data(module_name + ".weight_shape")[i] = std::byte{0x7f};
  expect_error(Status::InvalidData, {"weight_packed"}, [&] { format.decode(huge, config, module_name); });
  for (const char* text : {"null", "3", "{}", R"({"config_groups":[]})"})
    expect_error(Status::InvalidData, {"config_groups"}, [&] {
      format.decode(good, {{"quantization_config", Json::parse(text)}}, module_name);
    });
  for (const char* groups : {"{}", R"({"g":1})", R"({"g":{"weights":null}})", R"({"g":{"weights":{"num_bits":"4"}}})",
                             R"({"g":{"weights":{"num_bits":0}}})", R"({"g":{"weights":{"num_bits":-4}}})",
                             R"({"g":{"targets":[1],"weights":{"num_bits":8}}})"})
    expect_error(Status::InvalidData, {"fits no config group"}, [&] {
      format.decode(good, {{"quantization_config", {{"config_groups", Json::parse(groups)}}}}, module_name);
    });
}
