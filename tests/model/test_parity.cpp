// Every architecture against outputs that the transformers library computed in float64.
#include "model/forward.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

constexpr double tolerance = 1e-4;  // plain float32 evaluation by that library is off by up to 1.4e-5

/// Runs a model over the fixture's ids and compares everything that the fixture has.
void check_parity(const std::filesystem::path& folder, const std::filesystem::path& expected_folder) {
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(folder);
  const Model model(checkpoint);
  const auto expected = expected_folder / "expected.safetensors";
  const Matrix<std::int32_t> ids = read_ids(expected_folder / "ids.safetensors");

  Stream<float> stream(context, model.embed(context, ids), ids.cols());
  check_forward(context, model, stream, expected, tolerance);
}

}  // namespace

TEST_CASE("hidden states and logits equal the reference's") {
  for (const char* name : fixtures) {
    INFO(name);
    check_parity(model_folder(name), model_folder(name));
  }
}

TEST_CASE("the older spelling of a config means the same") {
  for (const char* name : fixtures) {
    INFO(name);
    if (!std::filesystem::exists(model_folder(name) / "config_v4.json")) continue;
    ModelCopy copy(name);
    std::filesystem::rename(copy.path() / "config_v4.json", copy.path() / "config.json");
    check_parity(copy.path(), model_folder(name));
  }
}

TEST_CASE("names without the leading `model.` are found") {
  for (const char* name : {"opt", "opt_postnorm", "llama3_rope_tied"}) {
    INFO(name);
    ModelCopy copy(name);
    copy.change_tensors([](const std::string& tensor) { return tensor.substr(std::string("model.").size()); });
    check_parity(copy.path(), model_folder(name));
    const Checkpoint checkpoint(copy.path());
    CHECK(Model(checkpoint).program(0).linears[0].module.substr(0, 6) != "model.");
  }
}
