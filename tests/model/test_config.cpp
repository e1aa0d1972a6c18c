#include "halftone/model/config.hpp"

#include <cmath>
#include <numbers>

#include "fuzz/model_config.hpp"
#include "fuzz/mutate.hpp"
#include "model/fixture.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

Json fixture_config(const std::string& name, const char* file = "config.json") {
  return read_json(model_folder(name) / file);
}

/// Reads a fixture's config after a change.
ModelConfig changed(const std::string& name, const std::function<void(Json&)>& change,
                    const char* file = "config.json") {
  Json config = fixture_config(name, file);
  change(config);
  return read_model_config(config);
}

/// A value under a key of llama_gqa is refused with a message that names key, got and wanted.
void refuses(const std::string& key, const Json& value, std::initializer_list<std::string_view> words,
             Status status = Status::InvalidData, const char* model = "llama_gqa") {
  INFO(key << " = " << value.dump());
  expect_error(status, {"config.json: '" + key + "'", "wanted"},
               [&] { changed(model, [&](Json& c) { c[key] = value; }); });
  expect_error(status, words, [&] { changed(model, [&](Json& c) { c[key] = value; }); });
}

}  // namespace

TEST_CASE("configs say what they say") {
  const ModelConfig llama = read_model_config(fixture_config("llama_gqa"));
  CHECK(std::string(llama.architecture->model_type) == "llama");
  CHECK(llama.hidden == 64);
  CHECK(llama.inner == 88);
  CHECK(llama.blocks == 2);
  CHECK(llama.heads == 4);
  CHECK(llama.kv_heads == 2);
  CHECK(llama.head_dim == 16);
  CHECK(llama.vocabulary == 96);
  CHECK(llama.norm_epsilon == 1e-3);
  CHECK(llama.attention_scale == 0.25);
  CHECK_FALSE(llama.tied_head);
  CHECK(llama.dtype == DType::F32);
  CHECK(read_model_config(fixture_config("llama_gqa_bf16")).dtype == DType::BF16);
  CHECK(read_model_config(fixture_config("llama_gqa_bf16", "config_v4.json")).dtype == DType::BF16);
  CHECK(read_model_config(fixture_config("mistral_window")).windows == std::vector<Index>{7, 7});
  CHECK(read_model_config(fixture_config("gemma2")).windows == std::vector<Index>{7, 0});
  CHECK(read_model_config(fixture_config("gemma2", "config_v4.json")).windows == std::vector<Index>{7, 0});
  CHECK(read_model_config(fixture_config("qwen2_bias_tied")).windows == std::vector<Index>{0, 0});
  CHECK(read_model_config(fixture_config("qwen3_qk_norm")).head_dim == 16);
  CHECK(read_model_config(fixture_config("opt_postnorm")).embedding_width == 32);
  CHECK_FALSE(read_model_config(fixture_config("opt_postnorm")).final_norm);
}

TEST_CASE("keys that older files lack have the defaults of their time") {
  const ModelConfig c = changed("llama_gqa", [](Json& config) {
    for (const char* key : {"num_key_value_heads", "head_dim", "rope_parameters", "tie_word_embeddings",
                            "attention_bias", "max_position_embeddings", "dtype", "architectures"})
      config.erase(key);
  });
  CHECK(c.kv_heads == 4);
  CHECK(c.head_dim == 16);
  CHECK(c.rope.theta == 10000);
  CHECK_FALSE(c.tied_head);
  CHECK(changed("gemma2", [](Json& config) { config.erase("tie_word_embeddings"); }).tied_head);
  CHECK(changed("mistral_window", [](Json& config) { config.erase("sliding_window"); }).windows[0] == 4096);
  CHECK(changed("mistral_window", [](Json& config) { config["sliding_window"] = nullptr; }).windows[0] == 0);
  CHECK(changed("llama_gqa", [](Json& config) { config.erase("model_type"); }).architecture == &architectures()[0]);
}

TEST_CASE("Qwen's upper blocks have a window only if it is used") {
  const auto with = [](bool used, Index first) {
    return changed("qwen2_bias_tied",
                   [&](Json& config) {
                     config.erase("layer_types");
                     config["use_sliding_window"] = used;
                     config["max_window_layers"] = first;
                     config["sliding_window"] = 5;
                   })
        .windows;
  };
  CHECK(with(true, 1) == std::vector<Index>{0, 5});
  CHECK(with(true, 0) == std::vector<Index>{5, 5});
  CHECK(with(false, 0) == std::vector<Index>{0, 0});
}

TEST_CASE("rotary frequencies follow their rule") {
  const ModelConfig plain = read_model_config(fixture_config("llama_gqa"));
  const auto frequencies = rotary_frequencies(plain);
  REQUIRE(frequencies.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) CHECK(frequencies[i] == Approx(std::pow(1e4, -static_cast<double>(i) / 8)));

  const auto rule = [](const Json& scaling) {
    return rotary_frequencies(changed(
        "llama_gqa", [&](Json& c) { c["rope_scaling"] = scaling; }, "config_v4.json"));
  };
  const auto linear = rule({{"type", "linear"}, {"factor", 4}});
  for (std::size_t i = 0; i < 8; ++i) CHECK(linear[i] == Approx(frequencies[i] / 4));

  const auto llama3 = rule({{"rope_type", "llama3"},
                            {"factor", 8},
                            {"low_freq_factor", 1},
                            {"high_freq_factor", 4},
                            {"original_max_position_embeddings", 32}});
  Index kept = 0, blended = 0, divided = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    const double turns = 32 * frequencies[i] / (2 * std::numbers::pi);
    kept += turns >= 4 && llama3[i] == frequencies[i];
    divided += turns <= 1 && llama3[i] == frequencies[i] / 8;
    blended += turns > 1 && turns < 4 && llama3[i] < frequencies[i] && llama3[i] > frequencies[i] / 8;
  }
  CHECK(kept + blended + divided == 8);
  CHECK(kept > 0);
  CHECK(divided > 0);

  const ModelConfig partial =
      changed("phi3_fused", [](Json& c) { c["rope_parameters"]["partial_rotary_factor"] = 0.5; });
  CHECK(rotary_frequencies(partial).size() == 3);
}

TEST_CASE("missing, mistyped and hostile values are refused by name") {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
                          "rms_norm_eps", "hidden_act"}) {
    refuses(key, nullptr, {"is missing"});
    refuses(key, Json::array({1}), {"is [1]"});
  }
  refuses("hidden_size", "64", {"is \"64\"", "an integer 1 .."});
  refuses("hidden_size", 0, {"is 0"});
  refuses("hidden_size", -64, {"is -64"});
  refuses("hidden_size", 64.5, {"is 64.5"});
  refuses("hidden_size", std::uint64_t{1} << 63, {"9223372036854775808"});
  refuses("vocab_size", Index{1} << 40, {"1099511627776"});
  refuses("num_hidden_layers", 1000000, {"1 .. 65536"});
  refuses("rms_norm_eps", -1e-5, {"a number 0 .. 1"});
  refuses("num_key_value_heads", 3, {"a divisor of 4 heads"});
  refuses("num_key_value_heads", 8, {"1 .. 4"});
  refuses("head_dim", 1 << 20, {"is 1048576"});
  refuses("head_dim", 15, {"even"});
  refuses("tie_word_embeddings", "yes", {"true or false"});
  refuses("hidden_act", "mish", {"\"mish\"", "silu"}, Status::Unsupported);
  refuses("dtype", "float8", {"bfloat16"});
  refuses("torch_dtype", "float16", {"'float32' as 'dtype' says"});
  refuses("rope_theta", 5.0, {"10000 as 'rope_parameters' says"});
  refuses("layer_types", Json::array({"full_attention"}), {"a list of 2 words"}, Status::InvalidData, "gemma2");
  refuses("sliding_window", nullptr, {"'layer_types' asks for a window"}, Status::InvalidData, "gemma2");
  refuses("use_bidirectional_attention", true, {"wanted false"}, Status::Unsupported, "gemma2");
  refuses("max_position_embeddings", nullptr, {"is missing"}, Status::InvalidData, "opt");
  refuses("layer_norm_elementwise_affine", false, {"wanted true"}, Status::Unsupported, "opt");
  expect_error(Status::InvalidData, {"'hidden_size' is 64", "a multiple of 7 heads, or 'head_dim'"}, [] {
    changed("llama_gqa",
            [](Json& c) { c["num_attention_heads"] = 7, c["num_key_value_heads"] = 7, c.erase("head_dim"); });
  });
  expect_error(Status::Unsupported, {"'layer_types[1]' is \"linear_attention\""}, [] {
    changed("gemma2", [](Json& c) { c["layer_types"] = {"full_attention", "linear_attention"}; });
  });
}

TEST_CASE("rotary rules that are unknown or contradict each other are refused by name") {
  const auto refuses_rope = [](const Json& rope, std::initializer_list<std::string_view> words, Status status) {
    expect_error(status, words, [&] { changed("llama_gqa", [&](Json& c) { c["rope_parameters"] = rope; }); });
  };
  refuses_rope({{"rope_type", "yarn"}, {"factor", 4}},
               {"rope_parameters.rope_type", "\"yarn\"", "default, linear, llama3"}, Status::Unsupported);
  refuses_rope({{"rope_type", "linear"}}, {"rope_parameters.factor", "is missing"}, Status::InvalidData);
  refuses_rope({{"rope_type", "linear"}, {"factor", 0.5}}, {"rope_parameters.factor", "0.5"}, Status::InvalidData);
  refuses_rope({{"rope_type", "linear"}, {"type", "llama3"}, {"factor", 2}}, {"'linear' as 'rope_type' says"},
               Status::InvalidData);
  refuses_rope({{"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}},
               {"high_freq_factor", "more than low_freq_factor"}, Status::InvalidData);
  refuses_rope({{"partial_rotary_factor", 0.2}}, {"head_dim", "even"}, Status::InvalidData);  // 3 of 16 channels
  refuses_rope("default", {"'rope_parameters'", "an object"}, Status::InvalidData);
  expect_error(Status::InvalidData, {"'rope_scaling'", "'default' as 'rope_parameters' says"}, [] {
    changed("llama_gqa", [](Json& c) { c["rope_scaling"] = {{"type", "linear"}, {"factor", 2}}; });
  });
}

TEST_CASE("unknown architectures are refused with the list of known ones") {
  refuses("model_type", "mamba", {"'mamba'", "llama, mistral, qwen2, qwen3, phi3, gemma2, opt"}, Status::Unsupported);
  refuses("architectures", Json::array({"LlamaForSequenceClassification"}), {"wanted 'LlamaForCausalLM'"},
          Status::Unsupported);
  refuses("architectures", Json::array({5}), {"a list of strings"});
  refuses("model_type", 7, {"a string"});
  expect_error(Status::InvalidData, {"'model_type' and 'architectures' are missing"},
               [] { changed("llama_gqa", [](Json& c) { c.erase("model_type"), c.erase("architectures"); }); });
  CHECK_THROWS_AS(read_model_config(Json::array()), Error);
}

TEST_CASE("a config with a value exchanged gives an error or a model that can be built") {
  const Json values[] = {nullptr, true,     -1,       1e300,  5,     std::uint64_t{1} << 63, 0.25,
                         "",      "linear", "llama3", "silu", 65536, Json::array(),          Json::object()};
  Random random(3);
  for (const std::string& name : all_fixtures())
    for (int i = 0; i < 400; ++i) {
      Json document = fixture_config(name);
      Json* node = &document;
      while (node->is_structured() && !node->empty() && (node == &document || random.below(3) != 0))
        node = &*std::next(node->begin(), static_cast<std::ptrdiff_t>(random.below(node->size())));
      *node = values[random.below(std::size(values))];
      const std::string damaged = document.dump();
      INFO(damaged);
      REQUIRE_NOTHROW(try_model_config(damaged));
    }
}

TEST_CASE("a damaged config gives an error or a model that can be built") {
  Random random(5);
  for (const std::string& name : all_fixtures()) {
    const std::string whole = slurp(model_folder(name) / "config.json");
    for (int i = 0; i < 200; ++i) REQUIRE_NOTHROW(try_model_config(mutate(whole, random)));
  }
}
