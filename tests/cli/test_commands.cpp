// What the command prints and returns when all is well, and when it is called wrongly.
#include "cli/command.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

const std::vector<std::string> small = {"--windows", "4", "--window-length", "64"};

std::vector<std::string> quantize_words(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> words = {"quantize", novella(), "-o", out};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string calibration() { return novella_ids("calibration.jsonl"); }

}  // namespace

TEST_CASE("help and version") {
  const CommandResult help = halftone_command({"--help"});
  CHECK(help.code == 0);
  CHECK(help.err.empty());
  for (const char* word :
       {"quantize", "eval", "compare", "inspect", "export", "methods", "completion", "130", "Exit codes"})
    CHECK_THAT(help.out, Catch::Contains(word));
  const CommandResult quantize = halftone_command({"quantize", "--help"});
  CHECK(quantize.code == 0);
  for (const char* word :
       {"--method",  "--bits",    "--group-size",  "--sym",         "--act-order",     "--grid",
        "--damping", "--format",  "--calibration", "--windows",     "--window-length", "--seed",
        "--threads", "--device",  "--recipe",      "--target-bits", "--budget",        "--budget-share",
        "--resume",  "--dry-run", "--json",        "--set",         "--profile"})
    CHECK_THAT(quantize.out, Catch::Contains(word));
  const CommandResult compare = halftone_command({"compare", "--help"});
  CHECK(compare.code == 0);
  for (const char* word : {"--recipe", "--try", "--calibration", "--data", "--data-windows", "--html", "--json",
                           "--bits", "--threads", "Memory"})
    CHECK_THAT(compare.out, Catch::Contains(word));
  const CommandResult version = halftone_command({"--version"});
  CHECK(version.code == 0);
  for (const char* word : {"halftone 0.", "instructions", "Eigen", "CLI11"})
    CHECK_THAT(version.out, Catch::Contains(word));
}

TEST_CASE("wrong use ends with 2 and says what was wrong") {
  const auto refused = [](std::vector<std::string> words, const char* message) {
    const CommandResult result = halftone_command(words);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Catch::Contains(message));
  };
  const TemporaryFolder folder;
  const std::string out = folder.path() / "out";
  refused({}, "subcommand");
  refused({"quantise"}, "quantise");
  refused({"quantize", novella(), "--bit", "3"}, "--bit");
  refused({"quantize"}, "MODEL");
  refused({"quantize", novella()}, "-o OUT");
  refused({"quantize", novella(), "-o", out, "--bits", "9", "--method", "rtn"}, "2 .. 8");
  refused({"quantize", novella(), "-o", out, "--bits", "3.5", "--method", "rtn"}, "3.5");
  refused({"quantize", novella(), "-o", out, "--method", "rtn", "--damping", "0.1"}, "damping");
  refused({"quantize", novella(), "-o", out, "--method", "gptq", "--set", "damping"}, "NAME=VALUE");
  refused({"quantize", novella(), "-o", out}, "calibration");
  refused({"quantize", novella(), "-o", out, "--method", "rtn", "--keep", "("}, "regular expression");
  refused({"quantize", novella(), "-o", out, "--method", "rtn", "--keep", "proj"}, "keep every");
  refused({"quantize", novella(), "-o", out, "--method", "rtn", "--windows", "0"}, "--windows");
  refused({"completion", "tcsh"}, "tcsh");
  const CommandResult result = halftone_command({"inspect", "--json"});
  CHECK(result.code == 2);
  CHECK(result.json()["error"]["status"] == "invalid_argument");
  CHECK(result.json()["error"]["exit_code"] == 2);
}

TEST_CASE("methods lists every method, its options with bounds, and the formats") {
  const CommandResult listing = halftone_command({"methods", "--json"});
  REQUIRE(listing.code == 0);
  const json document = listing.json();
  REQUIRE(document["methods"].size() == methods().size());
  for (std::size_t i = 0; i < methods().size(); ++i) {
    CHECK(document["methods"][i]["name"] == std::string(methods()[i].name));
    CHECK(document["methods"][i]["options"].size() == methods()[i].options.size());
  }
  CHECK(document["formats"].size() == formats().size());
  const std::string text = halftone_command({"methods"}).out;
  for (const Method& method : methods())
    for (const OptionInfo& info : method.options) CHECK_THAT(text, Catch::Contains(info.help));
}

TEST_CASE("quantize, inspect and eval, as JSON and as tables") {
  const TemporaryFolder folder;
  const std::string out = (folder / "out").string();
  auto words = quantize_words(out, {"--method", "gptq", "--bits", "3", "--group-size", "64", "--calibration",
                                    calibration(), "--json", "--report", (folder / "report.json").string()});
  words.insert(words.end(), small.begin(), small.end());
  const CommandResult run = halftone_command(words);
  INFO(run.err);
  REQUIRE(run.code == 0);
  CHECK(run.err.empty());
  const json report = run.json();
  CHECK(report["bits_per_weight"].get<double>() == Approx(3.297).margin(0.01));
  CHECK(report["seconds"].get<double>() > 0);
  CHECK(report["peak_bytes"].get<double>() > 1e6);
  REQUIRE(report["layers"].size() == 42);
  CHECK(report["layers"][0]["relative_error"].get<double>() > 0);
  CHECK(report["format"] == "compressed-tensors");
  CHECK(json::parse(slurp(folder / "report.json")) == report);

  std::istringstream log(slurp(folder / "out/halftone-log.jsonl"));
  std::size_t lines = 0;
  for (std::string line; std::getline(log, line); ++lines)
    CHECK(json::parse(line)["module"] == report["layers"].at(lines)["module"]);
  CHECK(lines == 42);

  const json inspected = halftone_command({"inspect", out, "--json"}).json();
  CHECK(inspected["format"] == "compressed-tensors");
  CHECK(inspected["bits_per_weight"].get<double>() == Approx(report["bits_per_weight"].get<double>()));
  for (const char* key : {"model", "model_type", "parameters", "tensor_bytes", "model_bits_per_weight", "notes"})
    CHECK(inspected.contains(key));
  CHECK(inspected["notes"].empty());
  REQUIRE(inspected["modules"].size() == 42 + 1);  // and the embedding, which is the head as well
  CHECK((inspected["modules"][0]["module"] == "model.embed_tokens" && inspected["modules"][0]["quantized"] == false));
  const json& k_proj = inspected["modules"][4];
  CHECK(k_proj["module"] == "model.layers.0.self_attn.k_proj");
  CHECK((k_proj["quantized"] == true && k_proj["bits"] == 3 && k_proj["group_size"] == 64));
  CHECK_THAT(halftone_command({"inspect", out, "--tensors"}).out, Catch::Contains("model.embed_tokens.weight"));

  const std::vector<std::string> eval = {"eval",
                                         out,
                                         "--data",
                                         novella_ids("evaluation.jsonl"),
                                         "--reference",
                                         novella(),
                                         "--windows",
                                         "4",
                                         "--window-length",
                                         "64"};
  auto eval_json = eval;
  eval_json.push_back("--json");
  const json result = halftone_command(eval_json).json();
  for (const char* key : {"nll", "perplexity", "kl", "kl_p99", "top1"}) CHECK(result[key].is_number());
  CHECK(result["perplexity"].get<double>() == Approx(std::exp(result["nll"].get<double>())));
  CHECK(result["kl"].get<double>() > 0);
  CHECK(result["top1"].get<double>() < 1);
  CHECK_THAT(halftone_command(eval).out, Catch::Contains("perplexity"));
  auto itself = eval_json;
  itself[1] = novella();
  CHECK(halftone_command(itself).json()["kl"].get<double>() == 0);
}

TEST_CASE("inspect lists what is there, of any architecture, and reads headers only") {
  ModelCopy model("llama_gqa_bf16");
  model.change_config([](Json& config) { config["model_type"] = "mamba"; });
  edit_tensor(model.path() / "model.safetensors", "model.layers.0.mlp.up_proj.weight",
              [](std::span<char> bytes) { std::fill(bytes.begin(), bytes.end(), '\xff'); });  // NaN
  const CommandResult table = halftone_command({"inspect", model.path().string(), "--tensors"});
  CHECK(table.code == 0);
  CHECK_THAT(table.out, Catch::Contains("mamba, format dense") && Catch::Contains("model.layers.1.mlp.down_proj ") &&
                            Catch::Contains("model.norm.weight") && Catch::Contains("note: "));
  const json found = halftone_command({"inspect", model.path().string(), "--json"}).json();
  CHECK(found["model_bits_per_weight"] == 16);
  CHECK_FALSE(found.contains("bits_per_weight"));
  CHECK_THAT(found["notes"].at(0).get<std::string>(), Catch::Contains("mamba") && Catch::Contains("llama"));
  CHECK(found["tensors"].size() > found["modules"].size());

  const auto weights = model.path() / "model.safetensors";
  std::filesystem::resize_file(weights, std::filesystem::file_size(weights) - 10);
  const CommandResult truncated = halftone_command({"inspect", model.path().string()});
  CHECK(truncated.code == 3);
  CHECK_THAT(truncated.err, Catch::Contains("model.safetensors") && Catch::Contains("truncated"));
  std::filesystem::remove(weights);
  CHECK(halftone_command({"inspect", model.path().string()}).code == 6);
}

TEST_CASE("a recipe file and flags say the same") {
  const TemporaryFolder folder;
  put(folder / "recipe.json", R"({"method": "gptq", "options": {"bits": 3, "group_size": 64, "act_order": true},
    "layers": [{"match": "o_proj", "keep": true}, {"match": "down_proj", "options": {"bits": 4}}],
    "calibration": {"windows": 4, "window_length": 32, "seed": 5}})");
  const auto by_file = quantize_words((folder / "file").string(),
                                      {"--recipe", (folder / "recipe.json").string(), "--calibration", calibration()});
  const auto by_flags = quantize_words(
      (folder / "flags").string(),
      {"--bits=3", "--group-size=64", "--act-order", "--keep", "o_proj", "--layer", "down_proj", "bits=4",
       "--calibration", calibration(), "--windows", "4", "--window-length", "32", "--seed", "5", "--threads", "1"});
  const CommandResult first = halftone_command(by_file), second = halftone_command(by_flags);
  INFO(first.err << second.err);
  REQUIRE(first.code == 0);
  REQUIRE(second.code == 0);
  CHECK_THAT(first.out, Catch::Contains("bits per weight"));
  CHECK(same_folder(folder / "file", folder / "flags"));
}

TEST_CASE("a dry run writes nothing and predicts what is written") {
  const TemporaryFolder folder;
  const auto words = quantize_words((folder / "out").string(), {"--bits", "4", "--group-size", "64", "--calibration",
                                                                calibration(), "--windows", "16", "--json"});
  auto dry = words;
  dry.push_back("--dry-run");
  const json plan = halftone_command(dry).json();
  CHECK_FALSE(std::filesystem::exists(folder / "out"));
  CHECK_FALSE(std::filesystem::exists(folder / "out.partial"));
  const json report = halftone_command(words).json();
  CHECK(plan["bits_per_weight"] == report["bits_per_weight"]);
  CHECK(plan["model_bits_per_weight"] == report["model_bits_per_weight"]);
  CHECK(plan["layers"].size() == report["layers"].size());
  CHECK(plan["output_bytes"] == std::filesystem::file_size(folder / "out/model.safetensors"));
  CHECK(plan["seconds"].get<double>() > 0);
}

TEST_CASE("a target of bits per weight is kept, in the plan and in what is written") {
  const TemporaryFolder folder;
  const std::string target = GENERATE("3.15", "3.4");
  auto words = quantize_words((folder / "out").string(),
                              {"--method", "owq", "--group-size", "-1", "--target-bits", target, "--budget-share",
                               "mlp.down_proj=0.5", "--budget", "honest", "--calibration", calibration(), "--json"});
  words.insert(words.end(), small.begin(), small.end());
  auto dry = words;
  dry.push_back("--dry-run");
  const json plan = halftone_command(dry).json();
  const CommandResult run = halftone_command(words);
  INFO(run.err);
  REQUIRE(run.code == 0);
  const json report = run.json();
  const double codes = report["code_bits_per_weight"].get<double>(), wanted = std::stod(target);
  CHECK(codes <= wanted);
  CHECK(codes > wanted - 0.03);
  if (report["format"] != "dense") CHECK(report["bits_per_weight"].get<double>() <= wanted);
  CHECK(plan["code_bits_per_weight"] == codes);
  double bits = 0, weights = 0;
  for (std::size_t i = 0; i < report["layers"].size(); ++i) {
    const json& layer = report["layers"][i];
    CHECK(layer["bits"] == 3);
    for (const char* key : {"outlier_columns", "bits_per_weight", "code_bits_per_weight"})
      CHECK(layer[key] == plan["layers"][i][key]);
    const double size = layer["rows"].get<double>() * layer["cols"].get<double>();
    bits += layer["code_bits_per_weight"].get<double>() * size;
    weights += size;
  }
  CHECK(codes == Approx(bits / weights));
  CHECK_THAT(report["notes"].dump(), Catch::Contains("budget of " + target));
}

TEST_CASE("a target of bits that cannot be is refused") {
  const auto refused = [](std::vector<std::string> more, const char* message) {
    std::vector<std::string> words = {"quantize", novella(),       "--dry-run",  "--method",
                                      "owq",      "--calibration", calibration()};
    words.insert(words.end(), more.begin(), more.end());
    const CommandResult result = halftone_command(words);
    INFO(result.err);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Catch::Contains(message));
  };
  refused({"--target-bits", "3.01", "--group-size", "-1"}, "alone take 3.06");
  refused({"--target-bits", "3.4", "--outlier-columns", "2"}, "wanted one of the two");
  refused({"--target-bits", "3.4", "--budget", "generous"}, "honest or paper");
  refused({"--target-bits", "3.4", "--budget-share", "q_proj"}, "NAME=VALUE");
  refused({"--target-bits", "3.4", "--budget-share", "q_proj=much"}, "q_proj=much");
  refused({"--target-bits", "3.4", "--budget-share", "q_proj=nan"}, "q_proj");
  refused({"--target-bits", "3.5", "--bits", "4", "--budget", "paper"}, "wanted 3 bits");
  refused({"--target-bits", "nan"}, "2 .. 16");
  refused({"--target-bits", "17"}, "2 .. 16");
  refused({"--target-bits", "much"}, "--target-bits");
  refused({"--budget-share", "q_proj=2"}, "without target_bits");
  refused({"--target-bits", "8.5", "--method", "rtn"}, "outlier columns");
}

#if defined(__has_feature)
#define HALFTONE_SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HALFTONE_SANITIZED 1
#else
#define HALFTONE_SANITIZED 0
#endif

#if !HALFTONE_SANITIZED  // whose memory is another matter
TEST_CASE("a dry run predicts the peak of memory within 10 %") {
  const TemporaryFolder folder;
  const std::string windows = GENERATE("32", "128");
  const std::vector<std::string> flags = {
      "--group-size", "64", "--calibration", novella_ids("calib_ids.safetensors"), "--windows", windows, "--json"};
  const auto words = quantize_words((folder / "out").string(), flags);
  auto dry = words;
  dry.push_back("--dry-run");
  const double predicted = halftone_command(dry).json()["peak_bytes"].get<double>();
  const double measured = halftone_command(words).json()["peak_bytes"].get<double>();
  CHECK(predicted == Approx(measured).epsilon(0.1));
}
#endif

TEST_CASE("completion scripts are what their shells accept") {
  const TemporaryFolder folder;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const CommandResult script = halftone_command({"completion", shell});
    REQUIRE(script.code == 0);
    for (const char* word : {"quantize", "compare", "html", "export", "group-size", "compressed-tensors", "native",
                             "hessian", "target-bits", "paper"})
      CHECK_THAT(script.out, Catch::Contains(word));
    put(folder / shell, script.out);
    const std::string check =
        std::string("command -v ") + shell + " >/dev/null || exit 0; " + shell + " -n " + (folder / shell).string();
    CHECK(std::system(check.c_str()) == 0);
  }
  const std::string complete = "bash -c 'source " + (folder / "bash").string() +
                               "; COMP_WORDS=(halftone quantize --group); COMP_CWORD=2; _halftone; "
                               "[[ \"${COMPREPLY[*]}\" == *--group-size* ]]'";
  CHECK(std::system(complete.c_str()) == 0);
}
