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

namespace {

/// A run that is stopped at some step, counting from 1 over all windows.
class StoppedRuns {
 public:
  StoppedRuns(const Fixture& fixture, const std::string& method, const std::string& windows) : fixture_(fixture) {
    recipe_ = tuned_recipe(fixture.ids, windows);
    recipe_.method = method;
    recipe_.tune->steps = steps;
    run(fixture.out("whole"), -1);
  }
  static constexpr int steps = 5;

  /// Steps taken.
  int run(const std::filesystem::path& out, int stop_at) {
    int taken = 0;
    RunOptions options;
    options.resume = true;
    options.progress = [&](const Progress& now) {
      taken += now.tuning != nullptr ? 1 : 0;
      return now.tuning == nullptr || taken != stop_at;
    };
    try {
      report = quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), out, recipe_, options);
    } catch (const Error& error) {
      REQUIRE(error.status() == Status::Cancelled);
      REQUIRE(taken == stop_at);
    }
    return taken;
  }
  std::filesystem::path whole() const { return fixture_.out("whole"); }

  RunReport report;

 private:
  const Fixture& fixture_;
  Recipe recipe_;
};

std::vector<std::filesystem::path> window_files(const std::filesystem::path& out) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(out.string() + ".partial"))
    if (entry.path().filename().string().starts_with("window-")) files.push_back(entry.path());
  return files;
}

}  // namespace

TEST_CASE("windows that overlap: a run goes on with the window that it was stopped in") {
  const Fixture fixture;
  const std::string method = GENERATE("gptqv2", "owq", "gptqt", "rtn");
  StoppedRuns runs(fixture, method, ",nblocks=2,step=1");
  const int windows = 3, steps = StoppedRuns::steps;  // [0, 1) [0, 2) [1, 2)
  for (int window = 0; window < windows; ++window) {
    const auto out = fixture.out(concat("out", window));
    CHECK(runs.run(out, window * steps + 3) == window * steps + 3);
    CHECK(window_files(out).size() == (window > 0 ? 1 : 0));
    CHECK(runs.run(out, -1) == (windows - window) * steps);
    CHECK(runs.report.notes.empty());
    CHECK(same_folder(runs.whole(), out));
    CHECK_FALSE(std::filesystem::exists(out.string() + ".partial"));
  }
  const auto out = fixture.out("often");  // the state is written, read and written again
  for (int window = 0; window < windows; ++window) CHECK(runs.run(out, window == 0 ? 1 : steps + 1) > 0);
  CHECK(runs.run(out, -1) == steps);
  CHECK(same_folder(runs.whole(), out));
}

TEST_CASE("windows that overlap: what was kept and is damaged, cut short or of another run is tuned again") {
  const Fixture fixture;
  StoppedRuns runs(fixture, "gptqv2", ",nblocks=2,step=1");
  const int steps = StoppedRuns::steps;
  const auto out = fixture.out("out");
  const auto spoilt = [&](const std::function<void(std::string&)>& change) {
    runs.run(out, 2 * steps + 1);
    const auto files = window_files(out);
    REQUIRE(files.size() == 1);
    std::string bytes = slurp(files[0]);
    change(bytes);
    put(files[0], bytes);
    CHECK(runs.run(out, -1) == 3 * steps);
    REQUIRE(runs.report.notes.size() == 1);
    CHECK_THAT(runs.report.notes[0], Catch::Contains("damaged"));
    CHECK(same_folder(runs.whole(), out));
    std::filesystem::remove_all(out);
  };
  for (const std::size_t part : {2, 3, 5, 9})
    spoilt([&](std::string& bytes) { bytes[bytes.size() - bytes.size() / part] ^= 1; });
  spoilt([](std::string& bytes) { bytes.resize(bytes.size() / 2); });
  spoilt([](std::string& bytes) { bytes.clear(); });
  spoilt([](std::string& bytes) {
    const auto at = bytes.find("\"run\":\"");
    REQUIRE(at != std::string::npos);
    bytes[at + 8] = bytes[at + 8] == '0' ? '1' : '0';
  });

  runs.run(out, 2 * steps + 1);  // a file that a run was killed over, and an older one that it had not removed
  const auto file = window_files(out).at(0);
  put(file.string() + ".partial", "half of it");
  std::filesystem::copy_file(file, file.parent_path() / "window-00000.safetensors");
  CHECK(runs.run(out, -1) == steps);
  CHECK(runs.report.notes.empty());
  CHECK(same_folder(runs.whole(), out));
}

TEST_CASE("windows that overlap: lost blocks and a window that is kept") {
  const Fixture fixture;
  StoppedRuns runs(fixture, "gptqv2", ",nblocks=2,step=1");
  const int steps = StoppedRuns::steps;
  const auto out = fixture.out("out");
  runs.run(out, 2 * steps + 1);  // block 0 is final
  const auto journal = out.string() + ".partial/journal.jsonl";
  std::string text = slurp(journal);
  text.erase(text.find('\n') + 1);
  put(journal, text);  // the disk has lost its line: the kept window, which begins with it, still has it
  CHECK(runs.run(out, -1) == steps);
  CHECK(same_folder(runs.whole(), out));
}

TEST_CASE("what is kept of a window survives an error behind it") {
  const Fixture fixture;
  const ModelCopy model("llama_gqa");
  const Recipe recipe = tuned_recipe(fixture.ids, ",nblocks=2,step=1,lookahead=0,weighting=none");
  edit_tensor(model.path() / "model.safetensors", "model.layers.1.mlp.down_proj.weight",
              [](std::span<char> bytes) { std::fill(bytes.begin(), bytes.end(), '\xff'); });  // NaN
  const auto out = fixture.out("out");
  expect_error(Status::InvalidData, {"layers.1.mlp.down_proj"},
               [&] { quantize_model(Context<Cpu>(2), model.path(), out, recipe); });
  CHECK(window_files(out).size() == 1);
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
