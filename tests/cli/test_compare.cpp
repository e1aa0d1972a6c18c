// halftone compare: what it prints and writes, against quantize and eval, and what it refuses.
#include <chrono>
#include <thread>

#include "cli/command.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

std::string calibration() { return novella_ids("calibration.jsonl"); }
std::string data() { return novella_ids("evaluation.jsonl"); }

std::vector<std::string> compare_words(std::vector<std::string> more) {
  std::vector<std::string> words = {
      "compare",   novella(), "--data",          data(), "--data-windows", "3", "--data-window-length", "32",
      "--windows", "4",       "--window-length", "48"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("compare says of a recipe what quantize and eval say, to the last digit") {
  const TemporaryFolder folder;
  put(folder / "from-file.json", R"({"method": "gptq", "options": {"bits": 3, "act_order": true},
    "layers": [{"match": "[.]0[.]mlp", "method": "rtn", "options": {"bits": 4}}]})");
  const CommandResult run = halftone_command(compare_words(
      {"--calibration", calibration(), "--group-size", "64", "--try", "plain: --method rtn --bits 4", "--recipe",
       (folder / "from-file.json").string(), "--try",
       "--bits 3 --group-size 32 --compute float --keep '[.]5[.]' --layer 'down_proj$' bits=4,damping=0.1", "--html",
       (folder / "page.html").string(), "--json"}));
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.err.empty());
  const json report = run.json();
  const std::vector<std::string> names = {"plain", "from-file", "gptq bits=3 group_size=32 compute=float"};
  REQUIRE(report["recipes"].size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(report["recipes"][i]["name"] == names[i]);
  CHECK(report["original"]["kl"] == 0);
  CHECK(report["original"]["bits_per_weight"] == 16);
  CHECK(report["recipes"][0]["layers"].size() == 42);
  CHECK(report["recipes"][2]["layers"].size() == 35);

  const std::vector<std::vector<std::string>> flags = {
      {"--method", "rtn", "--bits", "4", "--group-size", "64"},
      {"--recipe", (folder / "from-file.json").string(), "--group-size", "64"},
      {"--bits", "3", "--group-size", "32", "--compute", "float", "--keep", "[.]5[.]", "--layer", "down_proj$",
       "bits=4,damping=0.1"}};
  for (std::size_t i = 0; i < flags.size(); ++i) {
    const std::string out = (folder / concat("out", i)).string();
    std::vector<std::string> words = {"quantize",        novella(),     "-o",        out,
                                      "--calibration",   calibration(), "--windows", "4",
                                      "--window-length", "48",          "--json"};
    words.insert(words.end(), flags[i].begin(), flags[i].end());
    const json alone = halftone_command(words).json();
    const json measured = halftone_command({"eval", out, "--data", data(), "--windows", "3", "--window-length", "32",
                                            "--reference", novella(), "--json"})
                              .json();
    const json& together = report["recipes"][i];
    for (const char* key : {"tokens", "nll", "perplexity", "kl", "kl_p99", "top1"})
      CHECK(together[key] == measured[key]);
    CHECK(together["format"] == alone["format"]);
    if (i < 2) CHECK(together["bits_per_weight"].get<double>() == Approx(alone["bits_per_weight"].get<double>()));
    CHECK(together["bytes"] == std::filesystem::file_size(std::filesystem::path(out) / "model.safetensors"));
    for (std::size_t k = 0; k < alone["layers"].size(); ++k)
      CHECK(together["layers"][k]["relative_error"] == alone["layers"][k]["relative_error"]);
  }
  const std::string page = slurp(folder / "page.html");
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Catch::Contains("gptq bits=3 group_size=32 compute=float"));
}

TEST_CASE("recipes in words may have a target of bits") {
  const CommandResult run = halftone_command(compare_words(
      {"--calibration", calibration(), "--group-size", "-1", "--try", "even: --method owq --target-bits 3.4", "--try",
       "--method owq --target-bits 3.4 --budget-share mlp.down_proj=0.25", "--try",
       "theirs: --method owq --target-bits 3.2 --budget paper", "--json"}));
  INFO(run.err);
  REQUIRE(run.code == 0);
  const json recipes = run.json()["recipes"];
  CHECK(recipes[1]["name"] == "owq target_bits=3.4 mlp.down_proj=0.25");
  for (int i = 0; i < 2; ++i) {
    CHECK(recipes[i]["bits_per_weight"].get<double>() <= 3.4);
    CHECK(recipes[i]["bits_per_weight"].get<double>() > 3.39);
  }
  CHECK(recipes[2]["bits_per_weight"].get<double>() > 3.3);  // the paper's rule does not count scales and zeros
  CHECK(recipes[0]["layers"][6]["outlier_columns"] > recipes[1]["layers"][6]["outlier_columns"]);
  CHECK(recipes[0]["layers"][0]["outlier_columns"] < recipes[1]["layers"][0]["outlier_columns"]);
}

TEST_CASE("compare without a recipe takes every method; the table names them") {
  const CommandResult run = halftone_command(
      compare_words({"--calibration", calibration(), "--bits", "3", "--group-size", "64", "--threads", "1"}));
  INFO(run.err);
  REQUIRE(run.code == 0);
  std::istringstream lines(run.out);
  std::string line;
  std::getline(lines, line);
  CHECK_THAT(line, Catch::StartsWith("recipe ") && Catch::Contains("bits/weight") && Catch::Contains("KL p99"));
  std::getline(lines, line);
  CHECK_THAT(line, Catch::StartsWith("original "));
  for (const Method& method : methods()) {
    std::getline(lines, line);
    CHECK_THAT(line, Catch::StartsWith(std::string(method.name) + " "));
  }
}

TEST_CASE("compare refuses what it cannot use, before it works") {
  const TemporaryFolder folder;
  put(folder / "same.json", R"({"method": "rtn"})");
  put(folder / "bad.json", R"({"bits": 3})");
  put(folder / "here.json", R"({"calibration": {"file": "here.jsonl"}})");
  put(folder / "there.json", R"({"calibration": {"file": "there.jsonl"}})");
  const auto refused = [](int code, std::vector<std::string> words, std::vector<std::string> parts) {
    const CommandResult result = halftone_command(words);
    INFO(result.err);
    CHECK(result.code == code);
    CHECK(result.out.empty());
    for (const std::string& part : parts) CHECK_THAT(result.err, Catch::Contains(part));
  };
  const std::string same = (folder / "same.json").string();
  refused(2, {"compare", novella()}, {"--data"});
  refused(2, {"compare", "--data", data()}, {"MODEL"});
  refused(2, compare_words({"--bits", "4"}), {"'gptq'", "calibration"});
  refused(2, compare_words({"--try", "x: --method rtn --bit 3"}), {"x: --method rtn --bit 3", "--bit"});
  refused(2, compare_words({"--try", "x: --method rtn --resume"}), {"--resume"});
  refused(2, compare_words({"--try", "x: --method rtn --bits"}), {"--bits"});
  refused(2, compare_words({"--try", "x: --method rtn --bits 99"}), {"'x'", "2 .. 8"});
  refused(2, compare_words({"--try", "method rtn"}), {"method rtn", "NAME:"});
  refused(2, compare_words({"--try", ": --method rtn"}), {"called ''"});
  refused(2, compare_words({"--try", "original: --method rtn"}), {"original"});
  refused(2, compare_words({"--recipe", same, "--try", "same: --method rtn"}), {"two recipes", "'same'"});
  refused(2, compare_words({"--try", "x: --method rtn", "--damping", "0.1"}), {"--damping"});
  refused(2, compare_words({"--try", "x: --method rtn", "--data-windows", "0"}), {"--data-windows"});
  refused(2, compare_words({"--recipe", (folder / "here.json").string(), "--recipe", (folder / "there.json").string()}),
          {"'there'", "here.jsonl", "there.jsonl"});
  refused(3, compare_words({"--recipe", (folder / "bad.json").string()}), {"bad.json", "bits"});
  refused(6, compare_words({"--recipe", (folder / "none.json").string()}), {"none.json"});
  refused(6, compare_words({"--try", "x: --method nonesuch"}), {"nonesuch"});
  refused(6, compare_words({"--try", "x: --method rtn", "--html", (folder / "no/page.html").string()}),
          {"no/page.html"});
  refused(4, compare_words({"--try", "x: --method rtn", "--html", folder.path().string()}), {folder.path().string()});
}

TEST_CASE("compare stops at Ctrl-C and writes nothing") {
  const TemporaryFolder folder;
  const std::string page = (folder / "page.html").string();
  RunningCommand command({"compare", novella(), "--data", data(), "--calibration", novella_ids("calib_ids.safetensors"),
                          "--group-size", "64", "--html", page});
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  command.send(SIGINT);
  const CommandResult stopped = command.wait();
  INFO(stopped.err);
  CHECK(stopped.code == 130);
  CHECK(stopped.out.empty());
  CHECK_THAT(stopped.err, Catch::Contains("compare: stopped as asked"));
  CHECK_FALSE(std::filesystem::exists(page));
}
