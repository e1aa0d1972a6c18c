// Models that read images: methods without data quantise them, the others say what is missing.
#include "halftone/model/stream.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Logits of a fixture's images by the checkpoint in `folder`.
Matrix<float> logits_of(const std::filesystem::path& folder, const std::string& fixture) {
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(folder);
  const Model model(checkpoint);
  const SafetensorsFile images(model_folder(fixture) / "input.safetensors");
  const auto pixels = images.reshaped("pixel_values", images.info("pixel_values").elements() / 2);
  Stream<float> stream(context, model.embed_images(context, pixels), image_tokens);
  for (Index block = 0; block < model.blocks(); ++block) {
    stream.enter(model.program(block));
    stream.advance(model.load_block(context, block), model.program(block).size());
  }
  const HeadWeights<> head = model.load_head();
  const Matrix<float> final = model.final_hidden(context, head, stream.hidden());
  Matrix<float> logits(final.rows(), model.vocabulary());
  model.logits(context, head, final, logits);
  return logits;
}

Recipe rounding(const char* bits) {
  Recipe recipe;
  recipe.method = "rtn";
  recipe.options = {{"bits", bits}, {"group_size", "32"}};  // 48 = 32 + 16, 88 = 2 · 32 + 24
  return recipe;
}

}  // namespace

TEST_CASE("a vision model is rounded in groups that do not divide its widths, and runs") {
  const Context<Cpu> context(2);
  for (const std::string name : image_fixtures) {
    INFO(name);
    const TemporaryFolder folder;
    const RunReport report = quantize_model(context, model_folder(name), folder / "out", rounding("8"));
    CHECK(report.format == "native");  // no other takes such groups
    const Checkpoint original(model_folder(name)), written(folder / "out");
    const auto before = Model(original).load_block(context, 1), after = Model(written).load_block(context, 1);
    CHECK(after.biases == before.biases);
    CHECK(after.parameters == before.parameters);
    const auto expected = read_rows(model_folder(name) / "expected.safetensors", "logits");
    const double error = distance(logits_of(folder / "out", name), expected);
    CHECK(error > 1e-4);
    CHECK(error < 0.1);
  }
}

TEST_CASE("methods that need data say that calibration with images is missing, before anything is written") {
  const Context<Cpu> context(1);
  const TemporaryFolder folder;
  const auto out = folder / "out";
  Recipe gptq = rounding("4"), tuned = rounding("4");
  gptq.method = "gptq";
  gptq.calibration.file = write_ids(folder / "ids.safetensors", 4, image_tokens, 10);
  tuned.tune = parse_tune("steps=10");
  for (const Recipe& recipe : {gptq, tuned}) {
    const std::string asking = recipe.tune ? "tuning" : "method gptq";
    expect_error(Status::Unsupported, {"timm_eva02_base", asking, "reads images", "rtn"},
                 [&] { quantize_model(context, model_folder("timm_eva02_base"), out, recipe); });
    CHECK_FALSE(std::filesystem::exists(out));
  }
}
