// The walk against a plain loop that runs the whole model anew for every stage; any number of threads.
#include <catch2/catch.hpp>

#include "halftone/model/stream.hpp"
#include "pipeline/output_folder.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

using Weights = std::vector<BlockWeights<float>>;

/// All slots of block `block`, operations 0 .. `last` done, from the embedding on: no state is kept between two calls.
std::vector<Matrix<float>> run_to(const Context<Cpu>& context, const Model& model, const Weights& weights,
                                  const Matrix<std::int32_t>& ids, Index block, Index last) {
  Matrix<float> hidden = model.embed(context, ids);
  for (Index b = 0;; ++b) {
    const BlockProgram& program = model.program(b);
    std::vector<Matrix<float>> slots;
    std::vector<MatrixView<float>> views;
    for (Index width : program.slot_widths) slots.emplace_back(hidden.rows(), width);
    slots[static_cast<std::size_t>(program.input)] = hidden;
    for (Matrix<float>& slot : slots) views.push_back(slot.view());
    BlockRunner<float>(context, program, ids.cols())
        .run(0, b == block ? last : program.size(), weights[static_cast<std::size_t>(b)], views);
    if (b == block) return slots;
    hidden = slots[static_cast<std::size_t>(program.output)];
  }
}

/// The plain loop: for every stage both streams through the whole model, statistics of all tokens at once.
std::map<std::string, QuantizedMatrix> plain_quantize(const Context<Cpu>& context, const Model& model,
                                                      const Matrix<std::int32_t>& ids, const std::string& method,
                                                      const OptionMap& options) {
  Weights full, quantised;
  for (Index block = 0; block < model.blocks(); ++block) full.push_back(model.load_block(context, block));
  quantised = full;
  const auto quantizer = make_quantizer(context, method, options);
  std::map<std::string, QuantizedMatrix> results;
  for (Index block = 0; block < model.blocks(); ++block) {
    const BlockProgram& program = model.program(block);
    for (const Stage& stage : program.stages) {
      const auto slot = static_cast<std::size_t>(stage.input.slot);
      const auto X = run_to(context, model, quantised, ids, block, stage.first_op);
      const auto X_fp = run_to(context, model, full, ids, block, stage.first_op);
      const auto columns = [&](const Matrix<float>& matrix) {
        return matrix.view().middle_cols(stage.input.column, stage.input.width);
      };
      InputStatistics<float> statistics(context, stage.input.width, quantizer->moments());
      if (quantizer->moments() == Moments::Second) statistics.add(columns(X[slot]));
      if (quantizer->moments() == Moments::Cross) statistics.add(columns(X[slot]), columns(X_fp[slot]));
      for (int linear : stage.linears) {
        const auto index = static_cast<std::size_t>(linear);
        const auto b = static_cast<std::size_t>(block);
        QuantizedMatrix result = quantizer->quantize(full[b].linears[index], statistics);
        quantised[b].linears[index] = dequantize(result);
        results.emplace(program.linears[index].module, std::move(result));
      }
    }
  }
  return results;
}

}  // namespace

TEST_CASE("the walk solves what a plain loop over the model solves") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  const std::string name = GENERATE("llama_gqa", "opt", "opt_postnorm", "phi3_fused", "qwen2_bias_tied", "gemma2");
  for (const Method& method : methods()) {
    if (make_quantizer(context, method.name, {})->binary_coded())
      continue;  // not in the format whose codes are compared
    const Checkpoint checkpoint(model_folder(name));
    const Model model(checkpoint);
    const auto ids_file = write_ids(folder / concat(name, method.name, ".safetensors"), 12, 24, model.vocabulary());
    Recipe recipe = small_recipe(std::string(method.name), ids_file);
    recipe.tune = tuning_of(Effort::Low);
    recipe.options["group_size"] = "-1";
    recipe.options["scale_type"] = "f32";
    recipe.format = "compressed-tensors";
    recipe.compute = Compute::Float;  // as the plain loop
    const auto out = folder / concat(name, method.name);
    INFO(name << " with " << method.name);
    const RunReport report = quantize_model(context, model_folder(name), out, recipe);
    const auto expected = plain_quantize(context, model, read_ids(ids_file), recipe.method, recipe.options);
    REQUIRE(report.layers.size() == expected.size());
    const Checkpoint result(out);
    for (const LayerReport& layer : report.layers) {
      INFO(layer.module);
      const auto got = result.quantized(layer.module);
      REQUIRE(got);
      CHECK(same_codes(*got, expected.at(layer.module)));
      CHECK(layer.solve.relative_error == expected.at(layer.module).report.relative_error);
    }
  }
}

TEST_CASE("the same bytes for any number of threads") {
  const TemporaryFolder folder;
  const std::string name = GENERATE("llama_gqa_sharded", "opt", "phi3_fused");
  const auto ids = write_ids(folder / "ids.safetensors", 60, 40, 90);  // a chunk of 51 windows and a part of one
  for (const Method& method : methods()) {
    Recipe recipe = small_recipe(std::string(method.name), ids);
    recipe.compute = method.name == "gptqt" || method.name == "rtn" ? Compute::Float : Compute::BFloat16;
    quantize_model(Context<Cpu>(1), model_folder(name), folder / concat(method.name, 1), recipe);
    for (int threads : {2, 5}) {
      const auto out = folder / concat(method.name, threads);
      quantize_model(Context<Cpu>(threads), model_folder(name), out, recipe);
      CHECK(same_folder(folder / concat(method.name, 1), out));
    }
  }
}

TEST_CASE("what is not quantised is copied byte for byte, in shards of the size asked for") {
  const TemporaryFolder folder;
  Recipe recipe = small_recipe("rtn", {});
  recipe.layers.push_back({"o_proj|\\.0\\.mlp", true, {}, {}});
  RunOptions options;
  options.shard_bytes = 40'000;
  quantize_model(Context<Cpu>(2), model_folder("llama_gqa_bf16"), folder / "out", recipe, options);
  CHECK(std::filesystem::exists(folder / "out/model.safetensors.index.json"));
  const Checkpoint source(model_folder("llama_gqa_bf16")), result(folder / "out");
  Index kept = 0;
  for (const TensorInfo& tensor : source.tensors().tensors()) {
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (result.quantized(module)) continue;
    ++kept;
    const auto a = source.tensors().bytes(tensor.name), b = result.tensors().bytes(tensor.name);
    CHECK(result.tensors().info(tensor.name).dtype == tensor.dtype);
    CHECK(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  }
  CHECK(result.quantized("model.layers.1.mlp.up_proj"));
  CHECK_FALSE(result.quantized("model.layers.0.mlp.up_proj"));
  CHECK_FALSE(result.quantized("model.layers.1.self_attn.o_proj"));
  CHECK(kept > 10);
  CHECK(slurp(folder / "out/generation_config.json") ==
        slurp(model_folder("llama_gqa_bf16") / "generation_config.json"));
}

TEST_CASE("layers follow their rules, and a later block sees what an earlier one was rounded to") {
  const TemporaryFolder folder;
  const auto ids = write_ids(folder / "ids.safetensors", 8, 32, 90);
  Recipe recipe = small_recipe("gptq", ids);
  recipe.layers.push_back({"down_proj$", false, "rtn", {{"bits", "8"}}});
  recipe.layers.push_back({"q_proj|k_proj", false, "", {{"bits", "4"}, {"damping", "0.1"}}});
  const RunReport report = quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), folder / "out", recipe);
  const Checkpoint result(folder / "out");
  for (const LayerReport& layer : report.layers) {
    const bool down = layer.module.ends_with("down_proj");
    const bool q_or_k = layer.module.ends_with("q_proj") || layer.module.ends_with("k_proj");
    CHECK(layer.bits == (down ? 8 : q_or_k ? 4 : 3));
    CHECK(layer.method == (down ? "rtn" : "gptq"));
    CHECK(result.quantized(layer.module)->bits() == layer.bits);
    if (!down) CHECK(layer.solve.damping == (q_or_k ? 0.1 : 0.01));
  }
  CHECK(report.bits_per_weight > 3);
  CHECK(report.bits_per_weight >= report.code_bits_per_weight);
  CHECK(report.output_bytes == folder_bytes(folder / "out"));
}

TEST_CASE("a format that stores plain values carries them on to the next block") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  Recipe recipe = small_recipe("gptq", write_ids(folder / "ids.safetensors", 8, 32, 90));
  recipe.options["scale_type"] = "bf16";
  recipe.format = "compressed-tensors";
  quantize_model(context, model_folder("llama_gqa"), folder / "packed", recipe);
  recipe.format = "dense";
  const RunReport report = quantize_model(context, model_folder("llama_gqa"), folder / "dense", recipe);
  CHECK(report.bits_per_weight == 32);  // an f32 checkpoint
  const Checkpoint packed(folder / "packed"), dense(folder / "dense");
  for (const LayerReport& layer : report.layers) CHECK(packed.weight(layer.module) == dense.weight(layer.module));
}
