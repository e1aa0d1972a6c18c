// A short seeded run of what the fuzzers do (tests/fuzz): thousands of damaged files, of which none may do more than be
// refused.
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "fuzz/checkpoints.hpp"
#include "fuzz/mutate.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("the small weights that are damaged below are read when they are whole") {
  const std::string file = small_weights();
  const BytesSource source(file);
  CHECK(find_format("gptq").decode(source, any_width(), "g")->codes.size() == 32 * 32);
  CHECK(find_format("compressed-tensors").decode(source, any_width(), "c")->codes.size() == 2 * 32);
  CHECK(find_format("native").decode(source, any_width(), "n")->outliers.columns == std::vector<std::int32_t>{0, 32});
  CHECK(find_format("native").decode(source, any_width(), "p")->binary().alphas.size() == 2 * 6);
}

TEST_CASE("damaged safetensors files are read or refused") {
  Random random(1);
  const std::string whole = small_weights();
  int refused = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::string damaged = mutate(whole, random);
    REQUIRE_NOTHROW(try_safetensors(damaged));
    try {
      BytesSource source(damaged);
    } catch (const Error& error) {
      ++refused;
      REQUIRE(error.status() == Status::InvalidData);
      REQUIRE(std::string_view(error.what()).starts_with("fuzz: "));
    }
  }
  CHECK(refused > 1000);
}

TEST_CASE("files cut off anywhere are refused") {
  const std::string whole = small_weights();
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THROWS_AS(BytesSource(std::string_view(whole).substr(0, size)), Error);
}

TEST_CASE("damaged shard indices are read or refused") {
  Random random(2);
  const std::string whole =
      R"({"metadata":{"total_size":7},"weight_map":{"a.weight":"model-00001-of-00002.safetensors",)"
      R"("b.weight":"model-00002-of-00002.safetensors"}})";
  CHECK(parse_shard_index(whole, "fuzz").size() == 2);
  for (int i = 0; i < 3000; ++i) REQUIRE_NOTHROW(try_shard_index(mutate(whole, random)));
}

TEST_CASE("damaged configs are read or refused") {
  Random random(3);
  const std::string file = small_weights();
  const BytesSource weights(file);
  const std::string packed =
      R"({"model_type":"llama","quantization_config":{"quant_method":"gptq","bits":4,"group_size":32,"sym":true,)"
      R"("desc_act":false,"checkpoint_format":"gptq_v2","dynamic":{"+:^g$":{"group_size":-1}},"version":"0.17.1",)"
      R"("format":"pack-quantized","config_groups":{"group_0":{"targets":["Linear","c"],"weights":{"num_bits":4}}}}})";
  const std::string native =
      R"({"model_type":"llama","quantization_config":{"quant_method":"halftone","version":1,"producer":"x","settings":[)"
      R"({"coding":"uniform","bits":3,"group_size":16,"symmetric":false,"group_index":true,"outliers":true},)"
      R"({"coding":"binary","bits":2,"group_size":16,"outliers":false,"modules":["p"]}]}})";
  CHECK(find_format("native").decode(weights, parse_json(native, "fuzz"), "p") != nullptr);
  for (const std::string& whole : {packed, native})
    for (int i = 0; i < 3000; ++i) REQUIRE_NOTHROW(try_config(mutate(whole, random), weights));
}
