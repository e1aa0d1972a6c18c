// Bad input of every kind through the command: a clear message, a nonzero exit, nothing under the final name.
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli/command.hpp"
#include "halftone/backend/cuda.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

struct Scene {
  TemporaryFolder folder;
  ModelCopy model{"llama_gqa_bf16"};
  std::filesystem::path ids = write_ids(folder / "ids.safetensors", 4, 32, 90);
  std::filesystem::path out = folder / "out";

  std::vector<std::string> words(std::vector<std::string> more = {}) const {
    std::vector<std::string> list = {"quantize", model.path().string(), "-o", out.string(),    "--bits",
                                     "4",        "--group-size",        "8",  "--calibration", ids.string()};
    list.insert(list.end(), more.begin(), more.end());
    return list;
  }
  std::filesystem::path weights() const { return model.path() / "model.safetensors"; }

  /// Expects the exit code, every word in the message, and no output.
  void refuses(int code, std::initializer_list<const char*> messages, std::vector<std::string> more = {},
               const std::function<void()>& before_exec = {}) const {
    const CommandResult result = halftone_command(words(std::move(more)), before_exec);
    INFO(result.err);
    CHECK(result.code == code);
    CHECK(result.out.empty());
    for (const char* message : messages) CHECK_THAT(result.err, Catch::Contains(message));
    CHECK_FALSE(std::filesystem::exists(out));
  }
};

void set_bf16(const std::filesystem::path& file, const std::string& tensor, std::size_t element, std::uint16_t bits) {
  edit_tensor(file, tensor, [&](std::span<char> bytes) {
    bytes[2 * element] = static_cast<char>(bits & 0xff);
    bytes[2 * element + 1] = static_cast<char>(bits >> 8);
  });
}

}  // namespace

TEST_CASE("a good run, for comparison") {
  Scene scene;
  const CommandResult result = halftone_command(scene.words({"--json"}));
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.json()["layers"].size() > 5);
}

TEST_CASE("tensors that are missing, truncated or overlap") {
  Scene scene;
  SECTION("missing") {
    scene.model.change_tensors(
        [](const std::string& name) { return name == "model.layers.1.mlp.up_proj.weight" ? "" : name; });
    scene.refuses(6, {"model.layers.1.mlp.up_proj.weight"});
  }
  SECTION("truncated") {
    std::filesystem::resize_file(scene.weights(), std::filesystem::file_size(scene.weights()) - 10);
    scene.refuses(3, {"model.safetensors"});
  }
  SECTION("of another shape") {
    scene.model.change_config([](Json& config) { config["intermediate_size"] = 96; });
    scene.refuses(3, {"mlp", "96"});
  }
  SECTION("overlapping, beyond the file, or with a header of 2^63 bytes") {
    const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                               R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
    put(scene.weights(), safetensors_bytes(header, std::string(12, 'x')));
    scene.refuses(3, {"model.safetensors"});
    put(scene.weights(), safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"));
    scene.refuses(3, {"model.safetensors"});
    put(scene.weights(), std::string("\0\0\0\0\0\0\0\x80{}", 10));
    scene.refuses(3, {"model.safetensors"});
  }
  SECTION("no weights, no config, no folder") {
    std::filesystem::remove(scene.weights());
    scene.refuses(6, {"model.safetensors"});
    std::filesystem::remove(scene.model.path() / "config.json");
    scene.refuses(6, {"config.json"});
    std::filesystem::remove_all(scene.model.path());
    scene.refuses(6, {scene.model.path().c_str()});
  }
}

TEST_CASE("weights and activations that are not finite") {
  Scene scene;
  SECTION("NaN") {
    set_bf16(scene.weights(), "model.layers.0.mlp.up_proj.weight", 5, 0x7fc0);
    scene.refuses(3, {"model.layers.0.mlp.up_proj.weight"});
    scene.refuses(3, {"model.layers.0.mlp.up_proj"}, {"--method", "rtn"});
  }
  SECTION("infinite") {
    set_bf16(scene.weights(), "model.layers.1.self_attn.o_proj.weight", 0, 0x7f80);
    scene.refuses(3, {"model.layers.1.self_attn.o_proj.weight"});
  }
  SECTION("activations") {  // a norm's weight of 3e38 overflows at the next product
    edit_tensor(scene.weights(), "model.layers.0.post_attention_layernorm.weight", [](std::span<char> bytes) {
      for (std::size_t i = 0; i < bytes.size(); i += 2) {
        bytes[i] = '\x7f';
        bytes[i + 1] = '\x7f';
      }
    });
    scene.refuses(3, {"model.layers.0", "finite"});
  }
}

TEST_CASE("configs that are not understood") {
  Scene scene;
  SECTION("unknown architecture") {
    scene.model.change_config([](Json& config) { config["model_type"] = "mamba"; });
    scene.refuses(5, {"mamba", "llama"});
  }
  SECTION("no JSON") {
    put(scene.model.path() / "config.json", "{\"model_type\": ");
    scene.refuses(3, {"config.json"});
  }
  SECTION("already quantised") {
    scene.model.change_config([](Json& config) { config["quantization_config"] = {{"quant_method", "awq"}}; });
    scene.refuses(5, {"awq"});
    REQUIRE(halftone_command({"quantize", model_folder("llama_gqa").string(), "-o", (scene.folder / "first").string(),
                              "--method", "rtn", "--group-size", "8"})
                .code == 0);
    const CommandResult second = halftone_command({"quantize", (scene.folder / "first").string(), "-o",
                                                   scene.out.string(), "--method", "rtn", "--group-size", "8"});
    CHECK(second.code == 5);
    CHECK_THAT(second.err, Catch::Contains("already quantised") && Catch::Contains("compressed-tensors"));
  }
}

TEST_CASE("calibration data that does not fit") {
  Scene scene;
  SECTION("too little text") {
    const CommandResult result = halftone_command({"quantize", novella(), "-o", scene.out.string(), "--calibration",
                                                   novella_ids("calibration.jsonl"), "--windows", "5000"});
    CHECK(result.code == 3);
    CHECK_THAT(result.err, Catch::Contains("too little text") && Catch::Contains("5000"));
  }
  SECTION("no windows at all") {
    SafetensorsWriter writer(scene.folder / "none.safetensors", {{"ids", DType::I32, {0, 32}}}, WriteMode::Create);
    writer.write("ids", {});
    writer.finish();
    scene.ids = scene.folder / "none.safetensors";
    scene.refuses(2, {"0 windows of 32"}, {"--dry-run"});
    scene.refuses(2, {"0 windows of 32"});
    scene.refuses(8, {"bits"},
                  {"--windows", "2000000000", "--window-length", "2000000000", "--dry-run", "--calibration",
                   (scene.folder / "text.txt").string()});
  }
  SECTION("ids of another vocabulary") {
    scene.ids = write_ids(scene.folder / "other.safetensors", 4, 32, 5000);
    scene.refuses(3, {"vocabulary", "id"});
  }
  SECTION("a tokenizer of another vocabulary") {
    std::filesystem::copy_file(novella() + "/tokenizer.model", scene.model.path() / "tokenizer.model");
    put(scene.folder / "text.txt", slurp(novella_ids("evaluation.jsonl")));
    scene.refuses(3, {"vocabulary"}, {"--calibration", (scene.folder / "text.txt").string()});
  }
  SECTION("no tokenizer, no file, no text") {
    put(scene.folder / "text.txt", "word");
    scene.refuses(6, {"tokenizer"}, {"--calibration", (scene.folder / "text.txt").string()});
    scene.refuses(6, {"absent"}, {"--calibration", (scene.folder / "absent.safetensors").string()});
  }
}

TEST_CASE("a group size that the format cannot express") {
  Scene scene;
  scene.refuses(5, {"gptq", "got"}, {"--format", "gptq", "--group-size", "8"});
  scene.refuses(5, {"compressed-tensors", "7"}, {"--format", "compressed-tensors", "--group-size", "7"});
  scene.refuses(6, {"marlin", "compressed-tensors"}, {"--format", "marlin"});
  scene.refuses(6, {"gptx", "gptq"}, {"--method", "gptx"});
  if (!cuda_devices().problem.empty()) scene.refuses(5, {"cuda"}, {"--device", "cuda"});
  scene.refuses(2, {"tpu", "wanted cpu"}, {"--device", "tpu"});
  scene.refuses(2, {"cuda:x", "wanted cpu"}, {"--device", "cuda:x"});
  scene.refuses(2, {"--device-memory"}, {"--device", "cuda", "--device-memory", "0"});
}

TEST_CASE("eval and compare take a GPU where there is one, and say why not where there is none") {
  const Scene scene;
  const std::string model = scene.model.path().string(), ids = scene.ids.string();
  const std::vector<std::vector<std::string>> commands = {
      {"eval", model, "--data", ids, "--reference", model},
      {"compare", model, "--data", ids, "--calibration", ids, "--bits", "4", "--group-size", "8", "--try",
       "--method rtn", "--try", "--method gptq"}};
  for (std::vector<std::string> words : commands) {
    INFO(words[0]);
    const auto run = [&](std::vector<std::string> more) {
      more.insert(more.begin(), words.begin(), words.end());
      return halftone_command(more);
    };
    CHECK(run({"--device", "cpu"}).code == 0);
    CHECK(run({"--device", "tpu"}).code == 2);
    CHECK(run({"--device", "cuda", "--device-memory", "0"}).code == 2);
    const CommandResult result = run({"--device", "cuda", "--device-memory", "4"});
    INFO(result.err);
    if (cuda_devices().problem.empty()) {
      CHECK(result.code == 0);
      continue;
    }
    CHECK(result.code == 5);
    CHECK(result.out.empty());
    CHECK_THAT(result.err, Catch::Contains("cuda") && Catch::Contains(cuda_devices().problem));
  }
}

TEST_CASE("an output folder that holds other files is not touched") {
  Scene scene;
  std::filesystem::create_directory(scene.out);
  put(scene.out / "thesis.tex", "years of work");
  for (const char* flag : {"--quiet", "--resume"}) {
    const CommandResult result = halftone_command(scene.words({flag}));
    CHECK(result.code == 7);
    CHECK_THAT(result.err, Catch::Contains("not empty"));
  }
  CHECK(contents(scene.out) == std::map<std::string, std::string>{{"thesis.tex", "years of work"}});
}

TEST_CASE("an output folder that cannot be written") {
  Scene scene;
  const auto closed = scene.folder / "closed";
  std::filesystem::create_directory(closed);
  scene.out = closed / "out";
  REQUIRE(::chmod(closed.c_str(), 0555) == 0);
  if (::geteuid() == 0) {  // root may write anywhere: run as nobody, who may read the model
    REQUIRE(::chmod(scene.folder.path().c_str(), 0755) == 0);
    REQUIRE(::chmod(scene.model.path().c_str(), 0755) == 0);
    const auto become_nobody = [] {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
    };
    if (halftone_command({"--version"}, become_nobody).code == 0) scene.refuses(4, {"closed"}, {}, become_nobody);
  } else {
    scene.refuses(4, {"closed"});
  }
  scene.out = scene.folder / "no/such/folder/out";
  scene.refuses(6, {"no/such/folder"});
}

TEST_CASE("a full disk") {
  Scene scene;
  SECTION("a limit on the size of files") {
    scene.refuses(4, {"out.partial"}, {}, [] {
      const rlimit limit{30'000, 30'000};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    });
    CHECK(halftone_command(scene.words({"--resume"})).code == 0);
  }
  SECTION("a file system of 64 kilobytes") {
    const auto disk = scene.folder / "disk";
    std::filesystem::create_directory(disk);
    if (::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
      WARN("no right to mount a small disk: not tested");
      return;
    }
    scene.out = disk / "out";
    scene.refuses(4, {"out.partial", "space"});
    CHECK(::umount(disk.c_str()) == 0);
  }
}
