// Whole runs with tuning: windows of every kind, resuming, memory, any number of threads, and what is refused.
#include "halftone/pipeline/quantize_tensors.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

Recipe tuned_recipe(const std::filesystem::path& ids, const std::string& more) {
  Recipe recipe = small_recipe("gptq", ids);
  recipe.options["bits"] = "2";
  recipe.format = "native";
  recipe.tune = parse_tune("steps=30,batch=5,looks=6,held_out=0,rate=0.03" + more);
  return recipe;
}

struct Fixture {
  TemporaryFolder folder;
  std::filesystem::path ids = write_ids(folder.path() / "ids.safetensors", 6, 10, 90);
  std::filesystem::path out(const std::string& name) const { return folder.path() / name; }
};

}  // namespace

TEST_CASE("a tuned run changes the codes, says so, and reads back") {
  const Fixture fixture;
  const Context<Cpu> context(2);
  for (const std::string windows : {",lookahead=0", ",lookahead=1", ",nblocks=2,lookahead=0", ",nblocks=2,step=1"}) {
    INFO(windows);
    const auto out = fixture.out("out" + windows);
    const Recipe recipe = tuned_recipe(fixture.ids, windows);
    Recipe plain = recipe;
    plain.tune.reset();
    const RunReport report = quantize_model(context, model_folder("llama_gqa"), out, recipe);
    quantize_model(context, model_folder("llama_gqa"), fixture.out("plain" + windows), plain);
    int different = 0;
    for (const LayerReport& layer : report.layers) {
      CHECK(!layer.solve.notes.empty());
      CHECK(layer.solve.notes.back().find("tun") == 0);
      different += !same_codes(*Checkpoint(out).quantized(layer.module),
                               *Checkpoint(fixture.out("plain" + windows)).quantized(layer.module));
    }
    CHECK(different > 0);
    CHECK(report.layers.size() == 14);
  }
}

TEST_CASE("rounding without data is tuned too") {
  const Fixture fixture;
  Recipe recipe = tuned_recipe(fixture.ids, "");
  recipe.method = "rtn";
  recipe.tune = parse_tune("steps=12,batch=5,trainable=signround,optimiser=signsgd,decay=linear");
  const RunReport report = quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), fixture.out("rtn"), recipe);
  CHECK(report.layers.size() == 14);
  recipe.calibration.file.clear();
  CHECK_THROWS_AS(quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), fixture.out("none"), recipe), Error);
}

TEST_CASE("tuned runs: the same bytes for any number of threads, from memory, and resumed from every place") {
  const Fixture fixture;
  for (const std::string windows : {",lookahead=1", ",nblocks=2,lookahead=0", ",nblocks=2,step=1,lookahead=0"}) {
    INFO(windows);
    const Recipe recipe = tuned_recipe(fixture.ids, windows);
    const auto whole = fixture.out("whole" + windows), threads = fixture.out("threads" + windows);
    quantize_model(Context<Cpu>(1), model_folder("llama_gqa"), whole, recipe);
    quantize_model(Context<Cpu>(3), model_folder("llama_gqa"), threads, recipe);
    CHECK(same_folder(threads, whole));

    const auto parts = fixture.out("parts" + windows);
    int stops = 0;
    for (int at = 3;; at += 7) {
      int calls = 0;
      RunOptions options;
      options.resume = true;
      options.progress = [&](const Progress&) { return ++calls < at; };
      try {
        quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), parts, recipe, options);
        break;
      } catch (const Error& error) {
        REQUIRE(error.status() == Status::Cancelled);
        ++stops;
      }
    }
    CHECK(stops > 2);
    CHECK(same_folder(parts, whole));

    const Checkpoint model(model_folder("llama_gqa")), wanted(whole);
    int wrong = 0;
    quantize_tensors(Context<Cpu>(2), model, recipe, {}, [&](const TensorInfo& info, std::span<const std::byte> bytes) {
      const auto stored = wanted.tensors().bytes(info.name);
      wrong += !std::equal(bytes.begin(), bytes.end(), stored.begin(), stored.end());
    });
    CHECK(wrong == 0);
  }
}

TEST_CASE("tune in a recipe is an object, and comes back") {
  const Recipe recipe = parse_recipe(R"({"tune": {"steps": 12, "trainable": "scales", "outliers": false}})", "test");
  CHECK(recipe.tune->steps == 12);
  CHECK(recipe.tune->trainable == TrainableKind::Scales);
  CHECK(!recipe.tune->outliers);
  CHECK(tune_text(*parse_recipe(recipe_json(recipe).dump(), "test").tune) == tune_text(*recipe.tune));
  CHECK(!parse_recipe("{}", "test").tune);
  CHECK_THROWS_AS(parse_recipe(R"({"tune": {"stepz": 12}})", "test"), Error);
  CHECK_THROWS_AS(parse_recipe(R"({"tune": "yes"})", "test"), Error);
}

TEST_CASE("effort is tuning by a word, of best unless it is said otherwise") {
  const auto steps = [](const char* text) { return parse_recipe(text, "test").tuning().steps; };
  CHECK(steps("{}") == 0);
  CHECK(steps(R"({"method": "best"})") == tuning_of(Effort::Medium).steps);
  CHECK(steps(R"({"method": "best", "effort": "low"})") == 0);
  CHECK(steps(R"({"method": "gptq", "effort": "high"})") == tuning_of(Effort::High).steps);
  CHECK(steps(R"({"method": "best", "tune": {"nblocks": 2}})") == default_tuning_steps);
  const Recipe both = parse_recipe(R"({"effort": "max", "tune": {"batch": 3}})", "test");
  CHECK(both.tuning().steps == tuning_of(Effort::Max).steps);
  CHECK(both.tuning().step == 1);
  CHECK(both.tuning().batch == 3);
  expect_error(Status::InvalidData, {"/effort", "wanted low, medium, high or max"},
               [] { parse_recipe(R"({"effort": "utmost"})", "test"); });
  int before = -1;
  for (Effort effort : {Effort::Low, Effort::Medium, Effort::High, Effort::Max}) {
    CHECK(tuning_of(effort).steps > before);
    before = tuning_of(effort).steps;
  }
}

TEST_CASE("blocks that rules keep are passed by") {
  const Fixture fixture;
  Recipe recipe = tuned_recipe(fixture.ids, ",lookahead=0");
  recipe.layers.push_back({"layers[.]0[.]", true, {}, {}});
  const RunReport report = quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), fixture.out("kept"), recipe);
  REQUIRE(report.layers.size() == 7);
  for (const LayerReport& layer : report.layers) CHECK(layer.solve.notes.back().find("tun") == 0);
}
