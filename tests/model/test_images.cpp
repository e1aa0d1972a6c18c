// Models that read images: EVA-02 as timm has it, against outputs that timm computed in float64.
#include <array>
#include <cmath>
#include <limits>

#include "halftone/model/evaluation.hpp"
#include "model/forward.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

constexpr double tolerance = 1e-4;  // plain float32 evaluation by timm is off by up to 3e-6

/// [images, channels · height · width] of a fixture.
Matrix<float> pixels_of(const std::filesystem::path& folder) {
  const SafetensorsFile file(folder / "input.safetensors");
  return file.reshaped("pixel_values", file.info("pixel_values").elements() / 2);
}

std::string same(const std::string& name) { return name; }

/// Reads a fixture's config after a change of its `model_args`.
ModelConfig with_arguments(const std::function<void(Json&)>& change, const char* name = "timm_eva02_base") {
  Json config = read_json(model_folder(name) / "config.json");
  change(config["model_args"]);
  return read_model_config(config);
}

/// The config of a published checkpoint: a name, and no arguments.
ModelConfig named(const char* name) { return read_model_config({{"architecture", name}, {"num_classes", 1000}}); }

}  // namespace

TEST_CASE("hidden states and logits of images equal the reference's") {
  const Context<Cpu> context(2);
  for (const char* name : image_fixtures) {
    INFO(name);
    const Checkpoint checkpoint(model_folder(name));
    const Model model(checkpoint);
    const auto expected = model_folder(name) / "expected.safetensors";
    Stream<float> stream(context, model.embed_images(context, pixels_of(model_folder(name))), image_tokens);
    check_forward(context, model, stream, expected, tolerance);
  }
}

TEST_CASE("a patch is a convolution, also of images that are not square") {
  const Context<Cpu> context(2);
  ModelCopy copy("timm_eva02_base");
  copy.change_config([](Json& config) { config["model_args"]["img_size"] = {16, 64}; });  // 2 x 8 patches
  const Checkpoint checkpoint(copy.path());
  const Model model(checkpoint);
  const ImageConfig& image = model.config().image;
  REQUIRE(image.rows() == 2);
  REQUIRE(image.cols() == 8);
  const auto pixels = random_matrix<float>(3, 3 * 16 * 64, 1);
  const Matrix<float> hidden = model.embed_images(context, pixels);
  REQUIRE(hidden.rows() == 3 * image_tokens);
  const TensorSource& tensors = checkpoint.tensors();
  const auto W = tensors.reshaped("patch_embed.proj.weight", 3 * 8 * 8), positions = tensors.reshaped("pos_embed", 48),
             class_token = tensors.reshaped("cls_token", 48), bias = tensors.reshaped("patch_embed.proj.bias", 48);
  double most = 0;
  for (Index i = 0; i < 3; ++i)
    for (Index token = 0; token < image_tokens; ++token)
      for (Index out = 0; out < 48; ++out) {
        double sum = static_cast<double>(positions(token, out));
        sum += static_cast<double>(token == 0 ? class_token(0, out) : bias(0, out));
        for (Index k = 0; token > 0 && k < 3 * 64; ++k) {
          const Index channel = k / 64, y = (token - 1) / 8 * 8 + k % 64 / 8, x = (token - 1) % 8 * 8 + k % 8;
          sum += static_cast<double>(W(out, k)) * static_cast<double>(pixels(i, (channel * 16 + y) * 64 + x));
        }
        most = std::max(most, std::abs(sum - static_cast<double>(hidden(i * image_tokens + token, out))));
      }
  CHECK(most < 1e-4);
}

TEST_CASE("rotary angles of a grid: rows, then columns, and none for the class token") {
  const ModelConfig config = with_arguments([](Json& a) {
    a["img_size"] = {24, 40};  // 3 x 5 patches
    a["ref_feat_shape"] = {16, 12};
  });
  const RotaryPositions rotary = build_block_program(config, 0).rotary;
  CHECK(rotary.layout == RotaryPairs::Adjacent);
  const Matrix<double> angles = rotary_angles(rotary, 16);
  REQUIRE(angles.cols() == 6);  // heads of 12
  for (Index token = 0; token < 16; ++token)
    for (Index i = 0; i < 6; ++i) {
      const double frequency = std::pow(10000.0, -static_cast<double>(i % 3) / 3);
      const double y = static_cast<double>((token - 1) / 5) / 3 * 16, x = static_cast<double>((token - 1) % 5) / 5 * 12;
      CHECK(angles(token, i) == Approx(token == 0 ? 0 : (i < 3 ? y : x) * frequency).margin(1e-15));
    }
  expect_error(Status::ShapeMismatch, {"15 tokens", "wanted 16", "3 x 5"}, [&] { rotary_angles(rotary, 15); });
  const Context<Cpu> context(1);
  const BlockProgram program = build_block_program(config, 0);
  CHECK_THROWS_AS(BlockRunner<float>(context, program, 17), Error);
}

TEST_CASE("q and v have a bias, k has none") {
  const Context<Cpu> context(1);
  const Checkpoint base(model_folder("timm_eva02_base")), tiny(model_folder("timm_eva02_tiny"));
  const auto separate = Model(base).load_block(context, 1), fused = Model(tiny).load_block(context, 1);
  CHECK(separate.biases[0].cols() == 48);
  CHECK(separate.biases[1].empty());
  CHECK(separate.biases[2].cols() == 48);
  const auto q = tiny.tensors().matrix("blocks.1.attn.q_bias"), v = tiny.tensors().matrix("blocks.1.attn.v_bias");
  REQUIRE(fused.biases[0].cols() == 3 * 48);
  for (Index i = 0; i < 48; ++i) {
    CHECK(fused.biases[0](0, i) == q(0, i));
    CHECK(fused.biases[0](0, 48 + i) == 0);
    CHECK(fused.biases[0](0, 96 + i) == v(0, i));
  }
}

TEST_CASE("names of timm stand for sizes, arguments change them") {
  const ModelConfig large = named("eva02_large_patch14_448"), small = named("eva02_small_patch14_336");
  CHECK(large.hidden == 1024);
  CHECK(large.inner == 2730);
  CHECK(large.blocks == 24);
  CHECK(large.head_dim == 64);
  CHECK(large.image.tokens() == 1025);
  CHECK(large.vocabulary == 1000);
  CHECK(large.norm_epsilon == 1e-6);
  CHECK(named("eva02_base_patch14_224").inner == 2048);
  CHECK(named("eva02_tiny_patch14_224").inner == 512);
  CHECK(small.inner == 1024);
  CHECK(small.image.tokens() == 1 + 24 * 24);
  const BlockProgram program = build_block_program(large, 23);
  CHECK(program.linears.back().module == "blocks.23.mlp.fc2");
  CHECK(program.linears.back().cols == 2730);
  const ModelConfig shrunk = with_arguments([](Json& a) { a["img_size"] = 16; });
  CHECK(shrunk.hidden == 48);
  CHECK(shrunk.inner == 88);  // 88.32
  CHECK(shrunk.vocabulary == 10);
  CHECK(shrunk.image.tokens() == 5);
}

TEST_CASE("arguments that are unknown, hostile or contradictory are refused by name") {
  const auto refuses = [](const char* key, const Json& value, std::initializer_list<std::string_view> words,
                          Status status = Status::InvalidData) {
    INFO(key << " = " << value.dump());
    expect_error(status, words, [&] { with_arguments([&](Json& a) { a[key] = value; }); });
    expect_error(status, {concat("config.json: 'model_args.", key, "'"), "wanted"},
                 [&] { with_arguments([&](Json& a) { a[key] = value; }); });
  };
  refuses("init_values", 0.1, {"is 0.1", "no such argument"}, Status::Unsupported);  // LayerScale
  refuses("ref_feat_shape", nullptr, {"is null"}, Status::Unsupported);
  refuses("global_pool", "token", {"\"token\"", "wanted avg"}, Status::Unsupported);
  refuses("img_size", 30, {"multiples of the patch size, 8"});
  refuses("img_size", {32, 0}, {"two integers"});
  refuses("img_size", {32}, {"two integers"});
  refuses("img_size", "32", {"an integer 1 .."});
  refuses("num_heads", 5, {"48 channels"});
  refuses("num_heads", 8, {"heads of 4, 8"});  // 6 channels: no rows and columns
  refuses("mlp_ratio", 1e-6, {"1 .."});
  refuses("mlp_ratio", 1e8, {"1 .."});
  refuses("num_classes", 0, {"is 0"});
  refuses("depth", 1 << 20, {"1 .. 65536"});
  expect_error(Status::Unsupported, {"'eva02_base_patch16_clip_224'", "eva02_base_patch14_224", "eva02_tiny"},
               [] { named("eva02_base_patch16_clip_224"); });
  expect_error(Status::InvalidData, {"'model_args' is 5", "an object"}, [] {
    read_model_config({{"architecture", "eva02_base_patch14_224"}, {"model_args", 5}});
  });
  expect_error(Status::InvalidData, {"'architecture' is a number"}, [] { read_model_config({{"architecture", 5}}); });
}

TEST_CASE("tensors of a vision model that are missing, or too many, are named") {
  for (const std::string missing :
       {"patch_embed.proj.weight", "cls_token", "pos_embed", "blocks.1.attn.q_bias", "fc_norm.bias", "head.bias"}) {
    ModelCopy copy("timm_eva02_tiny");
    copy.change_tensors([&](const std::string& name) { return name == missing ? "" : name; });
    const Checkpoint checkpoint(copy.path());
    expect_error(Status::NotFound, {missing}, [&] { Model model(checkpoint); });
  }
  for (const std::string extra : {"blocks.0.gamma_1", "blocks.0.attn.k_bias"}) {
    ModelCopy copy("timm_eva02_tiny");
    copy.change_tensors(same, {{extra, DType::F32, {48}}});
    const Checkpoint checkpoint(copy.path());
    expect_error(Status::Unsupported, {extra, "unknown to"}, [&] { Model model(checkpoint); });
  }
}

TEST_CASE("pixels and token ids are not mixed up") {
  const Context<Cpu> context(1);
  const Checkpoint images(model_folder("timm_eva02_tiny")), text(model_folder("llama_gqa"));
  const Model vision(images), decoder(text);
  const Matrix<std::int32_t> ids(1, image_tokens, 3);
  Matrix<float> pixels(1, 3 * 32 * 32, 0.5f);
  expect_error(Status::Unsupported, {"reads images, got token ids"}, [&] { vision.embed(context, ids); });
  expect_error(Status::Unsupported, {"reads token ids, got images"}, [&] { decoder.embed_images(context, pixels); });
  expect_error(Status::Unsupported, {"reads images"}, [&] { evaluate(context, vision, ids); });
  expect_error(Status::ShapeMismatch, {"got 1 of 64", "3 x 32 x 32"},
               [&] { vision.embed_images(context, Matrix<float>(1, 64, 0.0f)); });
  pixels(0, 7) = std::numeric_limits<float>::quiet_NaN();
  expect_error(Status::InvalidData, {"image 0, number 7"}, [&] { vision.embed_images(context, pixels); });
  const Matrix<float> ragged(image_tokens + 1, 48, 0.0f);
  expect_error(Status::ShapeMismatch, {"18 tokens", "whole images of 17"},
               [&] { vision.final_hidden(context, vision.load_head(), ragged); });
}
