// quantize to the native format, inspect, eval, export, eval: as a user does.
#include "cli/command.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

json evaluated(const std::string& model) {
  return halftone_command({"eval", model, "--data", novella_ids("evaluation.jsonl"), "--reference", novella(),
                           "--windows", "4", "--window-length", "64", "--json"})
      .json();
}

}  // namespace

TEST_CASE("a native checkpoint is quantised, inspected, evaluated, exported, and evaluated again") {
  const TemporaryFolder folder;
  const std::string out = (folder / "native").string(), dense = (folder / "dense").string();
  const CommandResult run = halftone_command({"quantize", novella(), "-o", out, "--method", "owq", "--bits", "3",
                                              "--outlier-columns", "2", "--format", "native", "--calibration",
                                              novella_ids("calib_ids.safetensors"), "--windows", "4", "--json"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.json()["format"] == "native");

  const json found = halftone_command({"inspect", out, "--json"}).json();
  CHECK(found["format"] == "native");
  CHECK(found["notes"].empty());
  CHECK(found["bits_per_weight"].get<double>() == Approx(run.json()["bits_per_weight"].get<double>()));
  const json& k_proj = found["modules"][4];
  CHECK((k_proj["bits"] == 3 && k_proj["outlier_columns"] == 2 && k_proj["coding"] == "uniform"));
  CHECK_THAT(halftone_command({"inspect", out}).out, Catch::Contains("2 outlier columns"));

  const CommandResult exported = halftone_command({"export", out, "-o", dense, "--json"});
  INFO(exported.err);
  REQUIRE(exported.code == 0);
  CHECK(exported.err.empty());
  const json report = exported.json();
  CHECK((report["from"] == "native" && report["format"] == "dense" && report["dtype"] == "BF16"));
  CHECK((report["matrices"] == 42 && report["output_bytes"].get<double>() > 8e6 && report["seconds"].is_number()));
  CHECK(halftone_command({"inspect", dense, "--json"}).json()["format"] == "dense");
  const json native_score = evaluated(out), dense_score = evaluated(dense);
  CHECK(native_score["kl"].get<double>() > 0);
  CHECK(dense_score["kl"].get<double>() == Approx(native_score["kl"].get<double>()).epsilon(0.05));

  const auto again = halftone_command({"export", out, "-o", dense});
  CHECK(again.code == 7);
  CHECK_THAT(again.err, Catch::Contains("not empty"));
  CHECK(halftone_command({"export", dense, "-o", (folder / "x").string()}).code == 5);
  CHECK(halftone_command({"quantize", out, "-o", (folder / "x").string(), "--method", "rtn"}).code == 5);
  const auto text = halftone_command({"export", out, "-o", (folder / "y").string(), "--shard-size", "0.004"});
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Catch::Contains("42 matrices of format native as BF16"));
  CHECK(std::filesystem::exists(folder / "y/model.safetensors.index.json"));
}

TEST_CASE("export, called wrongly") {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  const auto code = [&](std::vector<std::string> words) { return halftone_command(words).code; };
  CHECK(code({"export", novella()}) == 2);
  CHECK(code({"export", "-o", out}) == 2);
  CHECK(code({"export", novella(), "-o", out, "--format", "awq"}) == 6);
  CHECK(code({"export", novella(), "-o", out, "--format", "gptq"}) == 5);
  CHECK(code({"export", (folder / "nowhere").string(), "-o", out}) == 6);
  const CommandResult dense = halftone_command({"export", novella(), "-o", out, "--json"});
  CHECK(dense.code == 5);
  CHECK(dense.json()["error"]["status"] == "unsupported");
  CHECK_THAT(dense.err, Catch::Contains("no matrix of it is quantised"));
  CHECK_FALSE(std::filesystem::exists(out));
  const CommandResult help = halftone_command({"export", "--help"});
  CHECK(help.code == 0);
  for (const char* word : {"--output", "--format", "--shard-size", "--quiet", "--json", "JSON keys"})
    CHECK_THAT(help.out, Catch::Contains(word));
}
