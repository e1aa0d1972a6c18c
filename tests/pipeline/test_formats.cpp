// What holds for a whole model in every format: it opens as the same model, and says of itself what it is.
#include "halftone/format/inspect.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// novella by RTN: 4 bits, down_proj 8, o_proj as it was.
RunReport quantize_novella(const std::string& format, const std::filesystem::path& out) {
  Recipe recipe;
  recipe.method = "rtn";
  recipe.options = {{"bits", "4"}, {"group_size", "64"}};
  recipe.layers = {{.match = "down_proj", .keep = false, .method = {}, .options = {{"bits", "8"}}},
                   {.match = "o_proj", .keep = true, .method = {}, .options = {}}};
  recipe.format = format;
  return quantize_model(Context<Cpu>(2), std::filesystem::path(HALFTONE_MODELS) / "novella", out, recipe);
}

}  // namespace

TEST_CASE("a model written in any format opens as a model, and is inspected as what it is") {
  const Checkpoint original(std::filesystem::path(HALFTONE_MODELS) / "novella");
  const Inspection before = inspect(original);
  for (const Format* format : formats()) {
    INFO(format->name());
    const TemporaryFolder folder;
    const auto out = folder / "out";
    const RunReport report = quantize_novella(std::string(format->name()), out);
    const Checkpoint written(out);
    CHECK_NOTHROW(Model(written).load_block(Context<Cpu>(2), 0));
    const bool packed = format->name() != "dense";
    const Inspection after = inspect(written);
    CHECK(after.format == format->name());
    CHECK(after.weights == before.weights);
    REQUIRE(after.matrices.size() == before.matrices.size());
    for (std::size_t i = 0; i < after.matrices.size(); ++i) {
      const StoredMatrix &was = before.matrices[i], &is = after.matrices[i];
      INFO(is.module);
      CHECK((is.module == was.module && is.rows == was.rows && is.cols == was.cols));
      const bool kept = is.module.ends_with("o_proj") || is.module == "model.embed_tokens";
      CHECK(is.quantized() == (packed && !kept));
      CHECK(is.bits == (!packed || kept ? 16 : is.module.ends_with("down_proj") ? 8 : 4));
      CHECK(is.group_size == (!packed || kept ? 0 : 64));
    }
    if (packed) CHECK(after.bits_per_weight() == Approx(report.bits_per_weight));
    CHECK(after.model_bits_per_weight() == Approx(report.model_bits_per_weight));

    Json config = read_json(out / "config.json");
    config["intermediate_size"] = 600;
    put(out / "config.json", config.dump());
    const Checkpoint other(out);
    expect_error(Status::InvalidData, {"mlp.gate_proj", "[512, 256]", "[600, 256]"}, [&] { Model{other}; });
  }
}
