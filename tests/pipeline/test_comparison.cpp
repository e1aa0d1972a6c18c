// Several recipes at once against each of them alone.
#include <nlohmann/json.hpp>

#include "halftone/pipeline/comparison.hpp"
#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Recipes that differ in what they need of the streams: nothing, one, two, and two only in the first block.
std::vector<NamedRecipe> recipes_of(const std::filesystem::path& ids) {
  std::vector<NamedRecipe> list;
  list.push_back({"plain", small_recipe("rtn", ids)});
  list.push_back({"diffused", small_recipe("gptq", ids)});
  list.push_back({"aimed", small_recipe("gptqv2", ids)});
  list.push_back({"mixed", small_recipe("rtn", ids)});
  list.back().recipe.layers.push_back({"[.]0[.].*(fc1|up_proj)", false, "gptqv2", {{"bits", "4"}}});
  list.back().recipe.layers.push_back({"[.]1[.].*(q_proj|fc2|down_proj)", true, {}, {}});
  list.push_back({"in values", small_recipe("gptq", ids)});
  list.back().recipe.format = "dense";
  list.push_back({"tuned", small_recipe("gptq", ids)});
  list.back().recipe.tune = parse_tune("steps=6,batch=4,rate=0.03,held_out=0");
  list.push_back({"tuned from plain rounding", small_recipe("rtn", ids)});
  list.back().recipe.tune = parse_tune("steps=6,batch=4,nblocks=2,trainable=signround,optimiser=signsgd,held_out=0");
  return list;
}

}  // namespace

TEST_CASE("a comparison says of every recipe what quantising and evaluating it alone says") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  const std::string name = GENERATE("llama_gqa", "opt");
  const Checkpoint checkpoint(model_folder(name));
  const Model model(checkpoint);
  const auto calibration = write_ids(folder / "ids.safetensors", 12, 24, model.vocabulary());
  const auto ids = read_ids(write_ids(folder / "eval.safetensors", 30, 20, model.vocabulary(), 7));
  const auto recipes = recipes_of(calibration);

  const ComparisonReport report = compare_recipes(context, model, recipes, ids);
  const Evaluation original = evaluate(context, model, ids);
  CHECK(report.original.evaluation.nll == original.nll);
  CHECK(report.original.evaluation.divergence->kl == 0);
  CHECK(report.original.evaluation.divergence->top1 == 1);
  CHECK(report.original.bits_per_weight == 32);
  REQUIRE(report.recipes.size() == recipes.size());
  for (std::size_t i = 0; i < recipes.size(); ++i) {
    const ComparedModel& together = report.recipes[i];
    INFO(name << ", " << recipes[i].name);
    const auto out = folder / concat("out", i);
    const RunReport alone = quantize_model(context, model_folder(name), out, recipes[i].recipe);
    const Checkpoint result(out);
    const Evaluation evaluation = evaluate(context, Model(result), ids, &model);
    CHECK(together.name == recipes[i].name);
    CHECK(together.format == alone.format);
    CHECK(together.evaluation.tokens == evaluation.tokens);
    CHECK(together.evaluation.nll == evaluation.nll);
    CHECK(together.evaluation.perplexity == evaluation.perplexity);
    CHECK(together.evaluation.divergence->kl == evaluation.divergence->kl);
    CHECK(together.evaluation.divergence->kl_p99 == evaluation.divergence->kl_p99);
    CHECK(together.evaluation.divergence->top1 == evaluation.divergence->top1);
    CHECK(together.evaluation.divergence->kl > 0);
    const bool dense = alone.format == "dense";
    const double bits = dense ? alone.code_bits_per_weight : alone.bits_per_weight;
    if (recipes[i].name == "mixed")
      CHECK(together.bits_per_weight > bits + 1);  // with what its rule keeps
    else
      CHECK(together.bits_per_weight == Approx(bits));
    REQUIRE(together.layers.size() == alone.layers.size());
    for (std::size_t k = 0; k < alone.layers.size(); ++k) {
      nlohmann::json a = layer_json(together.layers[k], false), b = layer_json(alone.layers[k], false);
      if (dense) a.erase("bits_per_weight"), b.erase("bits_per_weight");
      CHECK(a == b);
    }
  }
  CHECK(report.recipes[3].method == "rtn, gptqv2");
}

TEST_CASE("the bits of plain values are those of their codes and outlier columns") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  const Model model(checkpoint);
  const auto calibration = write_ids(folder / "ids.safetensors", 12, 24, model.vocabulary());
  const auto ids = read_ids(calibration);
  std::vector<NamedRecipe> recipes = {{"packed", small_recipe("gptq", calibration)},
                                      {"values", small_recipe("gptq", calibration)},
                                      {"outliers", small_recipe("owq", calibration)}};
  recipes[2].recipe.options["outlier_columns"] = "2";
  recipes[0].recipe.format = "compressed-tensors";
  recipes[1].recipe.format = recipes[2].recipe.format = "dense";
  const auto models = compare_recipes(context, model, recipes, ids).recipes;
  CHECK(models[1].bits_per_weight < 8);
  CHECK(models[2].bits_per_weight > models[1].bits_per_weight);
  double bits = 0, weights = 0;
  for (const ComparedModel& result : models) {
    bits = weights = 0;
    for (const LayerReport& layer : result.layers) {
      bits += layer.bits_per_weight * static_cast<double>(layer.rows * layer.cols);
      weights += static_cast<double>(layer.rows * layer.cols);
    }
    CHECK(result.bits_per_weight == Approx(bits / weights));
  }
  const double padding = (models[0].bits_per_weight - models[1].bits_per_weight) * weights / 8;
  CHECK(std::abs(static_cast<double>(models[0].bytes - models[1].bytes) - padding) < 8000);  // names in headers
}

TEST_CASE("threads change nothing in a comparison") {
  const TemporaryFolder folder;
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  const Model model(checkpoint);
  const auto calibration = write_ids(folder / "ids.safetensors", 60, 40, model.vocabulary());
  const auto ids = read_ids(calibration);
  const auto recipes = recipes_of(calibration);
  const auto one = compare_recipes(Context<Cpu>(1), model, recipes, ids).recipes;
  const auto three = compare_recipes(Context<Cpu>(3), model, recipes, ids).recipes;
  for (std::size_t i = 0; i < one.size(); ++i) {
    CHECK(one[i].evaluation.nll == three[i].evaluation.nll);
    CHECK(one[i].evaluation.divergence->kl == three[i].evaluation.divergence->kl);
  }
}

TEST_CASE("recipes share their calibration data, or are refused") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  const Model model(checkpoint);
  const auto file = write_ids(folder / "ids.safetensors", 12, 24, model.vocabulary());
  const auto ids = read_ids(file);
  const auto run = [&](const std::vector<NamedRecipe>& recipes) {
    return compare_recipes(context, model, recipes, ids);
  };
  std::vector<NamedRecipe> two = {{"a", small_recipe("gptq", {})}, {"b", small_recipe("gptq", file)}};
  two[0].recipe.calibration.windows.windows = 7;
  const ComparisonReport report = run(two);
  CHECK(report.calibration == file.string());
  CHECK(report.calibration_windows == 7);
  CHECK(report.recipes[0].evaluation.nll == report.recipes[1].evaluation.nll);

  two[1].recipe.calibration.windows.windows = 8;
  expect_error(Status::InvalidArgument, {"'b'", "windows 8", "7"}, [&] { run(two); });
  two[1].recipe.calibration.windows.windows = 7;
  two[0].recipe.calibration.file = folder / "other.safetensors";
  expect_error(Status::InvalidArgument, {"'b'", "other.safetensors", "ids.safetensors"}, [&] { run(two); });
  expect_error(Status::InvalidArgument, {"'a'", "needs calibration data"}, [&] {
    run({{"a", small_recipe("gptq", {})}});
  });
  expect_error(Status::InvalidArgument, {"no recipe"}, [&] { run({}); });
  expect_error(Status::InvalidArgument, {"two", "'x'"}, [&] {
    run({{"x", small_recipe("rtn", {})}, {"x", small_recipe("rtn", {})}});
  });
  for (const char* name : {"", "original"})
    expect_error(Status::InvalidArgument, {"called"}, [&] { run({{name, small_recipe("rtn", {})}}); });
  expect_error(Status::NotFound, {"'x'", "nonesuch"}, [&] { run({{"x", small_recipe("nonesuch", {})}}); });
  CHECK(run({{"x", small_recipe("rtn", {})}}).calibration.empty());
}

TEST_CASE("a comparison reports its progress and can be stopped") {
  const TemporaryFolder folder;
  const Context<Cpu> context(2);
  const Checkpoint checkpoint(model_folder("llama_gqa"));
  const Model model(checkpoint);
  const auto file = write_ids(folder / "ids.safetensors", 12, 24, model.vocabulary());
  const auto ids = read_ids(file);
  const auto recipes = recipes_of(file);
  Index matrices = 0, steps = 0;
  Progress last;
  compare_recipes(context, model, recipes, ids, [&](const Progress& progress) {
    if (progress.phase == Phase::Solve) {
      ++matrices;
      CHECK(progress.module.find(": model.layers.") != std::string::npos);
    }
    if (progress.phase == Phase::Tune) {
      ++steps;
      REQUIRE(progress.tuning != nullptr);
      CHECK(progress.tuning->loss > 0);
    }
    last = progress;
    return true;
  });
  CHECK(steps == 6 * model.blocks() + 6);
  CHECK(last.phase == Phase::Evaluate);
  CHECK(last.matrices_done == matrices);
  CHECK(last.matrices == matrices);
  CHECK(last.blocks_done == 3 * model.blocks());
  expect_error(Status::Cancelled, {"after 1 of 6 blocks"}, [&] {
    compare_recipes(context, model, recipes, ids, [](const Progress& progress) { return progress.blocks_done < 1; });
  });
}
