// Runs that stop: at every layer, before and after every write, and what a resume refuses.
#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "pipeline/output_folder.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Scene {
  explicit Scene(const std::string& name = "llama_gqa", const std::string& method = "gptq")
      : model(name), recipe(small_recipe(method, write_ids(folder / "ids.safetensors", 8, 32, 90))) {}

  RunReport run(const std::filesystem::path& out, bool resume = false, ProgressCallback progress = {}) const {
    RunOptions options;
    options.resume = resume;
    options.progress = std::move(progress);
    options.shard_bytes = 50'000;
    return quantize_model(context, model.path(), out, recipe, options);
  }
  /// Runs until the callback has been called `calls` times.
  void run_until(const std::filesystem::path& out, Index calls) const {
    run(out, true, [left = calls](const Progress&) mutable { return --left > 0; });
  }

  TemporaryFolder folder;
  ModelCopy model;
  Context<Cpu> context{2};
  Recipe recipe;
};

Index callbacks_of_a_run(const Scene& scene, const std::filesystem::path& out) {
  Index calls = 0;
  scene.run(out, false, [&](const Progress&) {
    ++calls;
    return true;
  });
  return calls;
}

void flip_byte(const std::filesystem::path& file, std::size_t at) {
  std::string bytes = slurp(file);
  REQUIRE(at < bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  put(file, bytes);
}

/// The first weights file of an unfinished run.
std::filesystem::path first_shard(const std::filesystem::path& partial) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(partial / "output"))
    if (entry.path().extension() == ".partial") files.push_back(entry.path());
  REQUIRE_FALSE(files.empty());
  return *std::min_element(files.begin(), files.end());
}

}  // namespace

TEST_CASE("a run that is stopped anywhere and resumed ends in the same bytes") {
  const Scene scene(GENERATE("llama_gqa", "opt"), GENERATE("gptq", "rtn"));
  const Index calls = callbacks_of_a_run(scene, scene.folder / "whole");
  const auto layers = plan_model(scene.context, scene.model.path(), scene.recipe).matrices();
  for (Index stop = 1; stop <= calls; ++stop) {
    const auto out = scene.folder / concat("out", stop);
    expect_error(Status::Cancelled, {"--resume", "of 2 blocks"}, [&] { scene.run_until(out, stop); });
    CHECK_FALSE(std::filesystem::exists(out));
    CHECK(scene.run(out, true).layers.size() == static_cast<std::size_t>(layers));
    CHECK(same_folder(scene.folder / "whole", out));
    CHECK_FALSE(std::filesystem::exists(out.string() + ".partial"));
  }
}

TEST_CASE("a run that is stopped at every layer in turn gets there") {
  const Scene scene;
  scene.run(scene.folder / "whole");
  const auto out = scene.folder / "out";
  Index runs = 0;
  Index finished = 0;
  for (bool done = false; !done; ++runs) {
    REQUIRE(runs < 10);
    try {  // each run solves one block and is stopped in the next
      const RunReport report = scene.run(out, true, [&](const Progress& now) { return now.blocks_done <= finished; });
      CHECK(report.blocks_resumed == finished);
      done = true;
    } catch (const Error& error) {
      REQUIRE(error.status() == Status::Cancelled);
      ++finished;
    }
  }
  CHECK(runs > 1);
  CHECK(same_folder(scene.folder / "whole", out));
}

TEST_CASE("progress counts to the end") {
  const Scene scene;
  Index solved = 0;
  Progress last;
  scene.run(scene.folder / "out", false, [&](const Progress& now) {
    CHECK(now.matrices_done >= last.matrices_done);
    CHECK(now.blocks_done >= last.blocks_done);
    CHECK((now.report != nullptr) == (now.phase == Phase::Solve));
    CHECK(now.module.empty() == (now.report == nullptr));
    solved += now.phase == Phase::Solve ? 1 : 0;
    last = now;
    return true;
  });
  CHECK(last.blocks_done == last.blocks);
  CHECK(last.matrices_done == last.matrices);
  CHECK(solved == last.matrices);
  CHECK(last.seconds_left == 0);
}

namespace {

std::ptrdiff_t journal_blocks(const std::filesystem::path& out) {
  const auto journal = out.string() + ".partial/journal.jsonl";
  if (!std::filesystem::exists(journal)) return 0;
  const std::string text = slurp(journal);
  return std::max<std::ptrdiff_t>(0, std::count(text.begin(), text.end(), '\n') - 1);
}

}  // namespace

TEST_CASE("a block counts as done once it is in the journal") {
  const Scene scene("llama_gqa", GENERATE("gptqv2", "rtn"));
  const auto out = scene.folder / "out";
  Index most = 0;
  scene.run(out, false, [&](const Progress& now) {
    CHECK(journal_blocks(out) >= now.blocks_done);
    most = std::max(most, now.blocks_done);
    return true;
  });
  CHECK(most == 2);
}

TEST_CASE("a block that is finished when the next one fails is kept") {
  const Scene scene("llama_gqa", GENERATE("gptqv2", "rtn"));
  edit_tensor(scene.model.path() / "model.safetensors", "model.layers.1.mlp.down_proj.weight",
              [](std::span<char> bytes) { std::fill(bytes.begin(), bytes.end(), '\xff'); });  // NaN
  const auto out = scene.folder / "out";
  expect_error(Status::InvalidData, {"model.layers.1.mlp.down_proj", "nan"}, [&] { scene.run(out); });
  CHECK(journal_blocks(out) == 1);
  CHECK_FALSE(std::filesystem::exists(out));
  expect_error(Status::InvalidData, {"model.layers.1.mlp.down_proj"}, [&] { scene.run(out, true); });
  CHECK(journal_blocks(out) == 1);
}

TEST_CASE("a block that the disk lost is solved again") {
  const Scene scene;
  scene.run(scene.folder / "whole");
  const auto out = scene.folder / "out";
  expect_error(Status::Cancelled, {"1 of 2"},
               [&] { scene.run(out, false, [](const Progress& now) { return now.blocks_done < 1; }); });
  const std::filesystem::path shard = first_shard(out.string() + ".partial");
  flip_byte(shard, std::filesystem::file_size(shard) - 1);
  const auto resumed = scene.run(out, true);
  CHECK(same_folder(scene.folder / "whole", out));
}

TEST_CASE("an unfinished run is not touched without a wish to resume") {
  const Scene scene;
  const auto out = scene.folder / "out";
  expect_error(Status::Cancelled, {}, [&] { scene.run_until(out, 12); });
  const auto before = contents(out.string() + ".partial");
  expect_error(Status::Conflict, {"out.partial", "--resume", "remove"}, [&] { scene.run(out); });
  CHECK(contents(out.string() + ".partial") == before);
}

TEST_CASE("a resume of another model, recipe or data set is refused and says what differs") {
  Scene scene;
  scene.recipe.compute = Compute::Float;
  const auto out = scene.folder / "out";
  expect_error(Status::Cancelled, {}, [&] { scene.run_until(out, 12); });
  const auto before = contents(out.string() + ".partial");
  const auto refused = [&](const char* word) {
    expect_error(Status::Conflict, {word, "there", "here", "resume"}, [&] { scene.run(out, true); });
    CHECK(contents(out.string() + ".partial") == before);
  };
  const Recipe recipe = scene.recipe;
  scene.recipe.options["bits"] = "4";
  refused("/recipe/methods/gptq/0/bits is 3");
  scene.recipe = recipe;
  scene.recipe.options["damping"] = "0.02";
  refused("/recipe/methods/gptq/0/damping");
  scene.recipe = recipe;
  scene.recipe.compute = Compute::BFloat16;
  refused("/backend/compute");
  scene.recipe = recipe;
  scene.recipe.method = "rtn";
  refused("/calibration");
  scene.recipe = recipe;
  scene.recipe.layers.push_back({"o_proj", true, {}, {}});
  refused("/recipe/modules");
  scene.recipe = recipe;
  scene.recipe.format = "dense";
  refused("/recipe/format");
  scene.recipe = recipe;
  scene.recipe.calibration.file = write_ids(scene.folder / "other.safetensors", 8, 32, 90, 2);
  refused("/calibration/tokens");
  scene.recipe.calibration.file = write_ids(scene.folder / "fewer.safetensors", 7, 32, 90);
  refused("/calibration/");
  scene.recipe = recipe;
  RunOptions other_files;
  other_files.resume = true;
  expect_error(Status::Conflict, {"/output/shard_bytes"},
               [&] { quantize_model(scene.context, scene.model.path(), out, recipe, other_files); });
  const auto weights = scene.model.path() / "model.safetensors";
  flip_byte(weights, std::filesystem::file_size(weights) - 3);
  refused("/model/tensor_contents");
  flip_byte(weights, std::filesystem::file_size(weights) - 3);
  scene.recipe.calibration.file = write_ids(scene.folder / "same.safetensors", 8, 32, 90);  // another name only
  scene.run(out, true);
}

TEST_CASE("a run that was killed after its last rename is finished by a resume") {
  const Scene scene;
  const auto out = scene.folder / "out";
  expect_error(Status::Cancelled, {"2 of 2"},
               [&] { scene.run(out, false, [](const Progress& now) { return now.blocks_done < 2; }); });
  const auto partial = std::filesystem::path(out.string() + ".partial");
  scene.run(scene.folder / "whole");
  std::filesystem::remove_all(partial / "output");
  std::filesystem::copy(scene.folder / "whole", out);
  const RunReport report = scene.run(out, true);
  CHECK(report.blocks_resumed == 2);
  CHECK_FALSE(report.layers.empty());
  CHECK_FALSE(std::filesystem::exists(partial));
  CHECK(same_folder(scene.folder / "whole", out));
}

TEST_CASE("a run that was killed while it named its files is finished by a resume") {
  const Scene scene;
  const auto out = scene.folder / "out";
  expect_error(Status::Cancelled, {"2 of 2"},
               [&] { scene.run(out, false, [](const Progress& now) { return now.blocks_done < 2; }); });
  const auto shard = first_shard(out.string() + ".partial");
  std::filesystem::path named = shard;
  std::filesystem::rename(shard, named.replace_extension());
  scene.run(scene.folder / "whole");
  CHECK(scene.run(out, true).blocks_resumed == 2);
  CHECK(same_folder(scene.folder / "whole", out));
}

TEST_CASE("a failure before the first block leaves nothing behind, a later one what is finished") {
  const Scene scene;
  const std::string bad = GENERATE("model.layers.0.self_attn.v_proj.weight", "model.layers.1.mlp.up_proj.weight");
  const bool later = bad.find(".1.") != std::string::npos;
  edit_tensor(scene.model.path() / "model.safetensors", bad,
              [](std::span<char> bytes) { std::fill_n(bytes.begin(), 4, '\xff'); });
  const auto out = scene.folder / "out";
  expect_error(Status::InvalidData, {bad}, [&] { scene.run(out); });
  CHECK_FALSE(std::filesystem::exists(out));
  CHECK(std::filesystem::exists(out.string() + ".partial") == later);
}

TEST_CASE("a full disk is an error, and the run can be resumed") {
  const Scene scene;
  scene.run(scene.folder / "whole");
  const auto out = scene.folder / "out";
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  rlimit small = before;
  small.rlim_cur = 20'000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  expect_error(Status::Io, {"out.partial"}, [&] { scene.run(out); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK_FALSE(std::filesystem::exists(out));
  scene.run(out, true);
  CHECK(same_folder(scene.folder / "whole", out));
}
