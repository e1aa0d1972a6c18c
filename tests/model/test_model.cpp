#include "model/fixture.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

std::string same(const std::string& name) { return name; }

/// Opening the copy fails so.
void fails(const ModelCopy& copy, Status status, std::initializer_list<std::string_view> words) {
  expect_error(status, words, [&] {
    const Checkpoint checkpoint(copy.path());
    const Model model(checkpoint);
  });
}

}  // namespace

TEST_CASE("a missing tensor is named before any work") {
  for (const std::string missing : {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight",
                                    "model.layers.0.input_layernorm.weight", "model.norm.weight", "lm_head.weight"}) {
    ModelCopy copy("llama_gqa");
    copy.change_tensors([&](const std::string& name) { return name == missing ? "" : name; });
    fails(copy, Status::NotFound, {missing, copy.path().string()});
  }
}

TEST_CASE("a tensor of the wrong shape is named with got and wanted") {
  ModelCopy copy("llama_gqa");
  copy.change_config([](Json& config) { config["intermediate_size"] = 80; });
  fails(copy, Status::InvalidData, {"model.layers.0.mlp.gate_proj.weight", "[88, 64]", "[80, 64]"});
}

TEST_CASE("tensors that the architecture does not know are refused") {
  ModelCopy copy("qwen3_qk_norm");
  copy.change_config(
      [](Json& config) { config["model_type"] = "llama", config["architectures"] = {"LlamaForCausalLM"}; });
  fails(copy, Status::Unsupported, {"self_attn.k_norm.weight", "unknown to a llama model"});

  ModelCopy fewer("llama_gqa");
  fewer.change_config([](Json& config) { config["num_hidden_layers"] = 1; });
  fails(fewer, Status::Unsupported, {"model.layers.1.", "of 1 blocks"});

  ModelCopy old("llama_gqa");
  old.change_tensors(same, {{"model.layers.0.self_attn.rotary_emb.inv_freq", DType::F32, {8}}});
  const Checkpoint checkpoint(old.path());
  CHECK(Model(checkpoint).blocks() == 2);
}

TEST_CASE("a bias that the config does not mention may only be zeros") {
  const Context<Cpu> context(1);
  const TensorInfo bias{"model.layers.0.self_attn.q_proj.bias", DType::F32, {64}};
  ModelCopy zeros("llama_gqa"), ones("llama_gqa");
  zeros.change_tensors(same, {bias}, 0);
  ones.change_tensors(same, {bias}, 1);
  const Checkpoint harmless(zeros.path()), other(ones.path());
  CHECK(Model(harmless).load_block(context, 0).biases[0].empty());
  expect_error(Status::InvalidData, {bias.name, "is 1 at 0", "wanted zeros"},
               [&] { Model(other).load_block(context, 0); });
}

TEST_CASE("weights that are not finite are refused when their block is loaded") {
  const Context<Cpu> context(1);
  const std::string tensor = "model.layers.1.mlp.up_proj.weight";
  for (const DType stored : {DType::F32, DType::BF16}) {
    ModelCopy copy("llama_gqa");
    copy.change_tensors([&](const std::string& name) { return name == tensor ? "" : name; },
                        {{tensor, stored, {88, 64}}}, std::numeric_limits<float>::infinity());
    const Checkpoint checkpoint(copy.path());
    const Model model(checkpoint);
    for (const ProductType products : {ProductType::Float, ProductType::BFloat16}) {
      CHECK_NOTHROW(model.load_block(context, 0, products));
      expect_error(Status::InvalidData, {tensor, "holds", "row 0, column 0"},
                   [&] { model.load_block(context, 1, products); });
    }
  }
}

TEST_CASE("token ids and window lengths are checked") {
  const Context<Cpu> context(2);
  const Checkpoint llama(model_folder("llama_gqa")), opt(model_folder("opt"));
  Matrix<std::int32_t> ids(2, 5, 3);
  ids(1, 4) = 96;
  expect_error(Status::InvalidData, {"window 1, token 4 is 96", "0 .. 95"}, [&] { Model(llama).embed(context, ids); });
  ids(1, 4) = -1;
  expect_error(Status::InvalidData, {"is -1"}, [&] { Model(llama).embed(context, ids); });
  const Matrix<std::int32_t> long_ids(1, 41, 3);
  expect_error(Status::InvalidArgument, {"41 tokens", "at most 40"}, [&] { Model(opt).embed(context, long_ids); });
  CHECK(Model(llama).embed(context, long_ids).rows() == 41);
}

TEST_CASE("the embedding is the rows of its table") {
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  Matrix<std::int32_t> ids(2, 3);
  for (Index i = 0; i < 6; ++i) ids.data()[i] = static_cast<std::int32_t>(95 - 17 * i);
  const auto table = checkpoint.tensors().matrix("model.embed_tokens.weight");
  const auto hidden = Model(checkpoint).embed(context, ids);
  for (Index t = 0; t < 6; ++t)
    for (Index j = 0; j < 64; ++j) REQUIRE(hidden(t, j) == table(ids.data()[t], j));
}

TEST_CASE("linear layers outside the blocks are listed") {
  using Names = std::vector<std::string>;
  const Checkpoint llama(model_folder("llama_gqa")), tied(model_folder("llama3_rope_tied")),
      opt(model_folder("opt_postnorm"));
  CHECK(Model(llama).kept_linears() == Names{"lm_head"});
  CHECK(Model(tied).kept_linears() == Names{"lm_head"});
  CHECK(Model(opt).kept_linears() == Names{"lm_head", "model.decoder.project_in", "model.decoder.project_out"});
}
