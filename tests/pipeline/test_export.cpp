// Checkpoints that only the native format holds, and the way back: a dense checkpoint of any quantised one.
#include "halftone/format/inspect.hpp"
#include "halftone/model/evaluation.hpp"
#include "halftone/pipeline/export_model.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Scene {
  TemporaryFolder folder;
  std::filesystem::path ids = write_ids(folder / "ids.safetensors", 8, 24, 90);
  std::filesystem::path quantised = folder / "quantised", out = folder / "out";

  Recipe recipe(const std::string& method, const OptionMap& options, const std::string& format = "auto") const {
    Recipe recipe;
    recipe.method = method;
    recipe.options = options;
    recipe.format = format;
    recipe.calibration.file = ids;
    recipe.layers = {{.match = "o_proj", .keep = true, .method = {}, .options = {}}};
    return recipe;
  }
  RunReport quantize(const Recipe& recipe, const std::filesystem::path& model = model_folder("llama_gqa_bf16")) const {
    return quantize_model(Context<Cpu>(2), model, quantised, recipe);
  }
  /// The same on one thread, stopped after the first block and resumed.
  std::filesystem::path quantize_twice(const Recipe& recipe) const {
    RunOptions options;
    options.progress = [](const Progress& progress) { return progress.blocks_done < 1; };
    const auto model = model_folder("llama_gqa_bf16");
    const auto run = [&] { quantize_model(Context<Cpu>(1), model, folder / "resumed", recipe, options); };
    expect_error(Status::Cancelled, {}, run);
    options.progress = nullptr;
    options.resume = true;
    run();
    return folder / "resumed";
  }
  Evaluation evaluated(const std::filesystem::path& model) const {
    const Checkpoint checkpoint(model), original(model_folder("llama_gqa_bf16"));
    const Model reference(original);
    return evaluate(Context<Cpu>(2), Model(checkpoint), read_ids(ids), &reference);
  }
  bool left_nothing() const {
    return !std::filesystem::exists(out) && !std::filesystem::exists(out.string() + ".partial");
  }
};

float bf16(float value) { return rounded_to(DType::BF16, value); }

}  // namespace

TEST_CASE("what only the native format holds is written, opened, inspected and evaluated") {
  const auto [method, options] = GENERATE(table<std::string, OptionMap>({
      {"gptqt", {{"bits", "3"}, {"group_size", "8"}}},
      {"gptqt", {{"bits", "2"}, {"group_size", "-1"}, {"outlier_columns", "3"}, {"act_order", "true"}}},
      {"owq", {{"bits", "3"}, {"group_size", "-1"}, {"outlier_columns", "2"}}},
      {"gptq", {{"bits", "5"}, {"group_size", "7"}, {"act_order", "true"}, {"groups", "fresh"}, {"sym", "true"}}},
  }));
  INFO(method << " " << options.at("bits"));
  const Scene scene;
  const RunReport report = scene.quantize(scene.recipe(method, options));
  CHECK(report.format == "native");
  REQUIRE_FALSE(report.notes.empty());
  CHECK_THAT(report.notes[0], Catch::Contains("format native taken"));
  const Checkpoint written(scene.quantised);
  const Inspection found = inspect(written);
  CHECK(found.format == "native");
  CHECK(found.bits_per_weight() == Approx(report.bits_per_weight));
  Index bits = 0, matrices = 0;
  for (const StoredMatrix& stored : found.matrices) {
    const auto matrix = written.quantized(stored.module);
    CHECK((matrix != nullptr) == stored.quantized());
    if (!matrix) continue;
    ++matrices;
    bits += stored_bits(*matrix);
    CHECK((stored.bits == std::stoi(options.at("bits")) && stored.binary_coded == (method == "gptqt")));
    const auto kept = options.find("outlier_columns");
    CHECK(stored.outlier_columns == (kept == options.end() ? 0 : std::stoi(kept->second)));
    CHECK(stored.outlier_columns == static_cast<Index>(matrix->outliers.columns.size()));
    CHECK(stored.bytes * 8 >= stored_bits(*matrix) + 128);
  }
  CHECK(matrices == static_cast<Index>(report.layers.size()));
  CHECK(report.code_bits_per_weight ==
        Approx(static_cast<double>(bits) / static_cast<double>(found.quantized_weights)));

  CHECK(same_folder(scene.quantised, scene.quantize_twice(scene.recipe(method, options))));

  const ExportReport exported = export_dense(scene.quantised, scene.out);
  CHECK((exported.format == "native" && exported.dtype == DType::BF16 && exported.matrices == matrices));
  const Evaluation native = scene.evaluated(scene.quantised), dense = scene.evaluated(scene.out);
  REQUIRE(native.divergence);
  CHECK(native.divergence->kl > 0);
  CHECK(dense.divergence->kl == Approx(native.divergence->kl).epsilon(0.02));  // bf16 has 8 bits
  CHECK(dense.nll == Approx(native.nll).epsilon(1e-3));
}

TEST_CASE("an export of any format holds the decoded weights in the original type, and everything else as it was") {
  const auto novella = std::filesystem::path(HALFTONE_MODELS) / "novella";
  for (const Format* format : formats()) {
    if (format->name() == "dense") continue;
    INFO(format->name());
    const Scene scene;
    scene.quantize(scene.recipe("rtn", {{"bits", "4"}, {"group_size", "64"}}, std::string(format->name())), novella);
    std::vector<double> shares;
    ExportOptions options;
    options.shard_bytes = 3'000'000;
    options.progress = [&](double share) {
      shares.push_back(share);
      return true;
    };
    const ExportReport report = export_dense(scene.quantised, scene.out, options);
    CHECK((report.format == format->name() && report.dtype == DType::BF16));
    CHECK((shares.front() == 0 && shares.back() == 1 && std::is_sorted(shares.begin(), shares.end())));
    const Checkpoint original(novella), quantised(scene.quantised), dense(scene.out);
    CHECK(dense.format() == nullptr);
    CHECK(dense.config() == original.config());
    CHECK(dense.side_files().size() == quantised.side_files().size());
    CHECK(slurp(scene.out / "tokenizer.model") == slurp(novella / "tokenizer.model"));
    CHECK(report.output_bytes > 8'000'000);
    CHECK(std::filesystem::exists(scene.out / "model.safetensors.index.json"));
    REQUIRE(dense.tensors().tensors().size() == original.tensors().tensors().size());
    for (const TensorInfo& tensor : original.tensors().tensors()) {
      INFO(tensor.name);
      const TensorInfo& got = dense.tensors().info(tensor.name);
      CHECK((got.dtype == tensor.dtype && got.shape == tensor.shape));
      const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
      Matrix<float> wanted = original.tensors().matrix(tensor.name);
      if (quantised.quantized(module)) wanted = quantised.weight(module);
      for (Index i = 0; i < wanted.size(); ++i) wanted.data()[i] = bf16(wanted.data()[i]);
      CHECK(dense.tensors().matrix(tensor.name) == wanted);
    }
  }
}

TEST_CASE("the type of an export is that of the config, else that of the scales") {
  const auto [config, type] = GENERATE(table<std::string, DType>({
      {R"({"dtype": "float32"})", DType::F32},
      {R"({"torch_dtype": "float16"})", DType::F16},
      {R"({"dtype": "int4"})", DType::F16},
      {R"({})", DType::F16},
  }));
  const Scene scene;
  scene.quantize(scene.recipe("rtn", {{"bits", "4"}, {"group_size", "8"}}, "native"));
  Json changed = read_json(scene.quantised / "config.json");
  changed.erase("dtype");
  changed.erase("torch_dtype");
  changed.update(Json::parse(config));
  put(scene.quantised / "config.json", changed.dump());
  CHECK(export_dense(scene.quantised, scene.out).dtype == type);
  CHECK(Checkpoint(scene.out).stored("model.layers.0.mlp.up_proj")->dtype == type);
}

TEST_CASE("what cannot be exported is refused, and leaves nothing") {
  const Scene scene;
  expect_error(Status::Unsupported, {"llama_gqa_bf16", "quantised"},
               [&] { export_dense(model_folder("llama_gqa_bf16"), scene.out); });
  expect_error(Status::NotFound, {"nowhere"}, [&] { export_dense(scene.folder / "nowhere", scene.out); });
  scene.quantize(scene.recipe("rtn", {{"bits", "4"}, {"group_size", "8"}}, "native"));
  ExportOptions stopped;
  stopped.progress = [](double share) { return share < 0.5; };
  expect_error(Status::Cancelled, {}, [&] { export_dense(scene.quantised, scene.out, stopped); });
  CHECK(scene.left_nothing());
  expect_error(Status::Conflict, {"quantised", "not empty"}, [&] { export_dense(scene.quantised, scene.quantised); });
  std::filesystem::create_directories(scene.out.string() + ".partial/output");
  expect_error(Status::Conflict, {"out.partial", "killed", "remove"},
               [&] { export_dense(scene.quantised, scene.out); });
  std::filesystem::remove_all(scene.out.string() + ".partial");

  const std::string scales = "model.layers.0.mlp.up_proj.scales";
  SECTION("a weight that the type does not hold") {
    edit_tensor(scene.quantised / "model.safetensors", scales, [](std::span<char> bytes) { bytes[1] = 0x7b; });
    Json config = read_json(scene.quantised / "config.json");
    config["dtype"] = "float16";
    config.erase("torch_dtype");
    put(scene.quantised / "config.json", config.dump());
    expect_error(Status::Unsupported, {"up_proj.weight", "F16"}, [&] { export_dense(scene.quantised, scene.out); });
  }
  SECTION("a damaged tensor") {
    edit_tensor(scene.quantised / "model.safetensors", scales, [](std::span<char> bytes) { bytes[1] = 0x7c; });
    expect_error(Status::InvalidData, {scales}, [&] { export_dense(scene.quantised, scene.out); });
  }
  SECTION("a newer version") {
    Json config = read_json(scene.quantised / "config.json");
    config["quantization_config"]["version"] = 2;
    put(scene.quantised / "config.json", config.dump());
    expect_error(Status::Unsupported, {"version 2"}, [&] { export_dense(scene.quantised, scene.out); });
  }
  CHECK(scene.left_nothing());
}
