// A model in memory: the bytes of a run from directory to directory, on the caller's thread, with nothing held.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "halftone/model/evaluation.hpp"
#include "pipeline/memory_model.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Quantises `folder` both ways and compares everything that both leave.
void expect_same_model(const std::filesystem::path& folder, const Recipe& recipe) {
  const TemporaryFolder temporary;
  const Context<Cpu> context(2);
  const auto out = temporary / "out";
  const RunReport written = quantize_model(context, folder, out, recipe);
  const Checkpoint original(folder), wanted(out);
  const Checkpoint memory = in_memory(original, reader_of(original));
  const Matrix<std::int32_t> ids =
      recipe.calibration.file.empty() ? Matrix<std::int32_t>() : read_ids(recipe.calibration.file);
  Received received;
  const TensorsResult result = quantize_tensors(context, memory, recipe, ids, received.receiver());

  const Checkpoint got = received.model(result, original);
  CHECK(same_tensors(wanted, got));
  CHECK(received.count() + result.unchanged.size() == wanted.tensors().tensors().size());
  CHECK(result.config == slurp(out / "config.json"));
  for (const auto& [name, text] : result.side_files) CHECK(text == slurp(out / name));
  CHECK(result.side_files.empty() == !std::filesystem::exists(out / "quantize_config.json"));
  CHECK_NOTHROW(Model(got).load_block(context, 0));

  CHECK(result.report.model == "the engine");
  CHECK(result.report.output.empty());
  CHECK(result.report.format == written.format);
  CHECK(result.report.bits_per_weight == written.bits_per_weight);
  CHECK(result.report.output_bytes > 0);
  CHECK(result.report.output_bytes < written.output_bytes);
  REQUIRE(result.report.layers.size() == written.layers.size());
  for (std::size_t i = 0; i < written.layers.size(); ++i)
    CHECK(layer_json(result.report.layers[i], false) == layer_json(written.layers[i], false));
}

}  // namespace

TEST_CASE("the shipped model in memory gives the bytes of the directory, in every format") {
  const TemporaryFolder folder;
  Recipe recipe = small_recipe("gptq", write_ids(folder / "ids.safetensors", 4, 64, 512));
  recipe.options = {{"bits", "4"}, {"group_size", "64"}};
  for (const Format* format : formats()) {
    INFO(format->name());
    recipe.format = format->name();
    expect_same_model(std::filesystem::path(HALFTONE_MODELS) / "novella", recipe);
  }
}

TEST_CASE("models of any family in memory give the bytes of the directory, by any method") {
  const TemporaryFolder folder;
  const auto ids = write_ids(folder / "ids.safetensors", 12, 24, 64);
  for (const char* name : fixtures)
    for (const char* method : {"gptq", "owq"}) {
      INFO(name << " by " << method);
      expect_same_model(model_folder(name), small_recipe(method, ids));
    }
  for (const Method& method : methods()) {
    INFO(method.name);
    expect_same_model(model_folder("llama_gqa"), small_recipe(std::string(method.name), ids));
  }
  expect_same_model(model_folder("llama_gqa_bf16"), small_recipe("rtn", {}));
  Recipe rules = small_recipe("gptq", ids);
  rules.format = "dense";
  rules.layers = {{.match = "o_proj", .keep = true, .method = {}, .options = {}},
                  {.match = "up_proj", .keep = false, .method = "rtn", .options = {{"bits", "8"}}}};
  expect_same_model(model_folder("opt"), rules);
}

TEST_CASE("a model in memory: the same bytes for any number of threads, everything on the caller's") {
  const TemporaryFolder folder;
  const auto file = write_ids(folder / "ids.safetensors", 60, 40, 64);  // more tokens than one piece of the embedding
  const Matrix<std::int32_t> ids = read_ids(file);
  const std::string name = GENERATE("llama_gqa", "opt", "qwen2_bias_tied"), method = GENERATE("gptq", "gptqv2", "rtn");
  const Checkpoint original(model_folder(name));
  std::map<int, Received> received;
  for (const int threads : {1, 3}) {
    const auto here = std::this_thread::get_id();
    bool elsewhere = false;
    const auto look = [&] { elsewhere = elsewhere || std::this_thread::get_id() != here; };
    const Checkpoint memory = in_memory(original, reader_of(original, look));
    const auto receive = received[threads].receiver();
    quantize_tensors(
        Context<Cpu>(threads), memory, small_recipe(method, {}), ids,
        [&](const TensorInfo& info, std::span<const std::byte> bytes) {
          look();
          receive(info, bytes);
        },
        [&](const Progress&) {
          look();
          return true;
        });
    CHECK_FALSE(elsewhere);
  }
  CHECK(received[1].count() > 0);
  CHECK(received[1] == received[3]);
}

TEST_CASE("nothing is read after its release, and everything is released") {
  const TemporaryFolder folder;
  const Matrix<std::int32_t> ids = read_ids(write_ids(folder / "ids.safetensors", 12, 24, 64));
  const Context<Cpu> context(1);  // the source has no lock
  for (const char* name : fixtures) {
    const Checkpoint original(model_folder(name));
    std::set<std::string> held;
    const Checkpoint spoiling(original.config(), std::make_unique<SpoilingSource>(original.tensors(), held), name);
    for (const char* method : {"rtn", "gptqv2"}) {
      INFO(name << " by " << method);
      Received wanted, got;
      const Recipe recipe = small_recipe(method, {});
      const TensorsResult result = quantize_tensors(context, original, recipe, ids, wanted.receiver());
      quantize_tensors(context, spoiling, recipe, ids, got.receiver());
      CHECK(got == wanted);
      CHECK(held.empty());

      const Checkpoint quantised = wanted.model(result, original);
      const Checkpoint spoiled(quantised.config(), std::make_unique<SpoilingSource>(quantised.tensors(), held), name);
      CHECK(evaluate(context, Model(spoiled), ids).perplexity == evaluate(context, Model(quantised), ids).perplexity);
      CHECK(std::all_of(held.begin(), held.end(), [](const std::string& left) {
        return left.ends_with("weight_shape") || left.ends_with(".shape");  // headers' second half: a few bytes each
      }));
      held.clear();
    }
  }
}

TEST_CASE("a tensor that cannot be read ends the run, whichever it is") {
  const TemporaryFolder folder;
  const Matrix<std::int32_t> ids = read_ids(write_ids(folder / "ids.safetensors", 8, 32, 64));
  const Checkpoint original(model_folder("llama_gqa"));
  const Recipe recipe = small_recipe(GENERATE("rtn", "gptqv2"), {});
  const Context<Cpu> context(2);
  Index left = -1, calls = 0;
  const Checkpoint memory = in_memory(original, reader_of(original, [&] {
                                        ++calls;
                                        if (left >= 0 && left-- == 0) throw std::domain_error("the engine is gone");
                                      }));
  Received whole;
  quantize_tensors(context, memory, recipe, ids, whole.receiver());
  const Index all = calls;
  REQUIRE(all >= 14);
  for (Index k = 0; k < all; ++k) {
    left = k;
    Received part;
    CHECK_THROWS_AS(quantize_tensors(context, memory, recipe, ids, part.receiver()), std::domain_error);
    CHECK(part.count() < whole.count());
  }
  left = -1;
  Received again;
  quantize_tensors(context, memory, recipe, ids, again.receiver());
  CHECK(again == whole);
}

TEST_CASE("a run in memory stops at every call of the progress, and of the receiver") {
  const TemporaryFolder folder;
  const Matrix<std::int32_t> ids = read_ids(write_ids(folder / "ids.safetensors", 8, 32, 64));
  const Checkpoint original(model_folder("llama_gqa"));
  const Recipe recipe = small_recipe("gptq", {});
  const Context<Cpu> context(2);
  Received whole;
  Index calls = 0;
  Progress last;
  quantize_tensors(context, original, recipe, ids, whole.receiver(), [&](const Progress& now) {
    ++calls;
    last = now;
    return true;
  });
  CHECK(last.matrices_done == last.matrices);
  CHECK(last.blocks_done == last.blocks);
  REQUIRE(calls > last.matrices);
  for (Index stop = 1; stop <= calls; ++stop) {
    Received part;
    expect_error(Status::Cancelled, {"of 2 blocks", "what was sent"}, [&] {
      quantize_tensors(context, original, recipe, ids, part.receiver(),
                       [left = stop](const Progress&) mutable { return --left > 0; });
    });
    CHECK(part.count() <= whole.count());
  }
  for (std::size_t stop = 0; stop < whole.count(); ++stop) {
    std::size_t taken = 0;
    const auto refuse = [&](const TensorInfo& info, std::span<const std::byte>) {
      if (taken++ == stop) throw std::domain_error(info.name);
    };
    CHECK_THROWS_AS(quantize_tensors(context, original, recipe, ids, refuse), std::domain_error);
    CHECK(taken == stop + 1);
  }
}

TEST_CASE("calibration data of a model in memory: given, from a file of ids, never text") {
  const TemporaryFolder folder;
  const auto file = write_ids(folder / "ids.safetensors", 8, 32, 64);
  const Checkpoint original(model_folder("llama_gqa"));
  const Checkpoint memory = in_memory(original, reader_of(original));
  const Context<Cpu> context(2);
  Recipe recipe = small_recipe("gptq", {});
  Received given, named;
  quantize_tensors(context, memory, recipe, read_ids(file), given.receiver());
  recipe.calibration.file = file;
  quantize_tensors(context, memory, recipe, {}, named.receiver());
  CHECK(given == named);
  CHECK(plan_tensors(context, memory, recipe, 0, 0).windows == 8);
  CHECK(plan_tensors(context, memory, recipe, 3, 5).tokens() == 15);

  const auto refused = [&](Status status, std::initializer_list<std::string_view> words,
                           const Matrix<std::int32_t>& ids = {}) {
    Received nothing;
    expect_error(status, words, [&] { quantize_tensors(context, memory, recipe, ids, nothing.receiver()); });
    CHECK(nothing.count() == 0);
  };
  refused(Status::InvalidData, {"token 0 is 96"},
          Matrix<std::int32_t>(2, 8, original.config()["vocab_size"].get<int>()));
  refused(Status::InvalidArgument, {"2 windows of 0"}, Matrix<std::int32_t>(2, 0));
  recipe.calibration.file = folder / "text.txt";
  put(recipe.calibration.file, "There is no tokenizer here.");
  refused(Status::Unsupported, {"text.txt", "tokenizer", "in memory", "token ids"});
  recipe.calibration.file.clear();
  refused(Status::InvalidArgument, {"needs calibration data"});
  recipe.method = "rtn";
  Received plain;
  CHECK_NOTHROW(quantize_tensors(context, memory, recipe, {}, plain.receiver()));
  CHECK(plan_tensors(context, memory, recipe, 0, 0).tokens() == 0);
  expect_error(Status::InvalidArgument, {"receives"}, [&] { quantize_tensors(context, memory, recipe, {}, {}); });
}

TEST_CASE("a model in memory whose tensors do not fit is refused before anything is sent") {
  const Checkpoint original(model_folder("llama_gqa"));
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  const TensorReader read = reader_of(original);
  const auto run = [&](const std::vector<HostTensor>& list, const TensorReader& reader, Received& received) {
    const Checkpoint memory(original.config(), std::make_unique<HostTensors>(list, reader, "the engine"), "the engine");
    quantize_tensors(Context<Cpu>(2), memory, small_recipe("rtn", {}), {}, received.receiver());
  };
  const auto refused = [&](Status status, std::initializer_list<std::string_view> words, const auto& change) {
    std::vector<HostTensor> list = described(original.tensors());
    change(list, std::find_if(list.begin(), list.end(), [&](const HostTensor& t) { return t.info.name == name; }));
    Received received;
    expect_error(status, words, [&] { run(list, read, received); });
    CHECK(received.count() == 0);
  };
  refused(Status::NotFound, {"the engine", name}, [](auto& list, auto tensor) { list.erase(tensor); });
  refused(Status::InvalidData, {"the engine", name, "wanted ["},
          [](auto&, auto tensor) { std::swap(tensor->info.shape[0], tensor->info.shape[1]); });
  refused(Status::InvalidData, {"the engine", name, "I32", "floating-point"},
          [](auto&, auto tensor) { tensor->info.dtype = DType::I32; });

  Received received;  // what is not finite shows when it is read: in the last matrix
  const auto spoilt = [&](std::string_view wanted, std::int64_t offset, std::span<std::byte> into) {
    read(wanted, offset, into);
    if (wanted == name) std::fill(into.end() - 4, into.end(), std::byte{0xff});
  };
  expect_error(Status::InvalidData, {name, "nan"}, [&] { run(described(original.tensors()), spoilt, received); });
  Received whole;
  run(described(original.tensors()), read, whole);
  CHECK(received.count() * 14 == whole.count() * 13);
}
