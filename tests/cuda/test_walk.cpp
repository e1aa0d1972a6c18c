// Whole models: the walk with every method on both backends.
#include <nlohmann/json.hpp>

#include "halftone/backend/cuda_copier.hpp"
#include "model/bfloat_model.hpp"
#include "pipeline/comparison_run.hpp"
#include "pipeline/fingerprint.hpp"
#include "pipeline/walk.hpp"
#include "walk_support.hpp"

using namespace halftone;
using namespace halftone::test;

TEST_CASE("a model by every method ends with the CPU's objective, and twice in the same bytes") {
  const auto device = walk_device();
  if (!device) return;
  for (const Method& method : methods()) {
    const std::string name(method.name);
    INFO(name);
    const Scene scene("llama_gqa", recipe_of(name));
    const Kept here = scene.walk(nullptr), there = scene.walk(device.get());
    REQUIRE(there.matrices.size() == here.matrices.size());
    const Apart apart(here, there);
    std::printf("%s: %lld of %lld codes differ, objectives by %.1e\n", name.c_str(),
                static_cast<long long>(apart.differing), static_cast<long long>(apart.codes), apart.objective);
    // `best` refines: its search takes another way after any rounding.
    CHECK(apart.objective <= (name == "best" ? 3e-2 : 1e-4));
    CHECK(same(there, scene.walk(device.get())));
  }
}

TEST_CASE("architectures of every kind walk on the device") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* name : {"gemma2", "opt", "phi3_fused", "qwen3_qk_norm", "mistral_window"}) {
    INFO(name);
    const Scene scene(name, recipe_of("gptqv2"));
    const Apart apart(scene.walk(nullptr), scene.walk(device.get()));
    std::printf("%s: %lld of %lld codes differ, objectives by %.1e\n", name, static_cast<long long>(apart.differing),
                static_cast<long long>(apart.codes), apart.objective);
    CHECK(apart.objective <= 1e-4);
  }
}

/// A fixture as it is, or with its weights in bfloat16.
Scene scene_of(const std::string& name, bool in_bfloat, Recipe recipe) {
  if (!in_bfloat) return Scene(name, std::move(recipe));
  const auto model = std::make_shared<const BFloatModel>(name);
  return Scene({model, &model->checkpoint()}, std::move(recipe));
}

TEST_CASE("with 16-bit products models end with the objective that the CPU has with them") {
  const auto device = walk_device();
  if (!device) return;
  const std::pair<const char*, bool> models[] = {
      {"llama_gqa_bf16", false}, {"opt", true}, {"phi3_fused", true}, {"gemma2", true}, {"qwen2_bias_tied", false}};
  for (const char* method : {"gptq", "gptqv2"})
    for (const auto& [name, in_bfloat] : models) {
      INFO(method << " " << name);
      Recipe recipe = recipe_of(method);
      recipe.compute = Compute::BFloat16;
      const Scene scene = scene_of(name, in_bfloat, recipe);
      const Kept here = scene.walk(nullptr), there = scene.walk(device.get());
      const Apart apart(here, there);
      std::printf("%s, 16-bit, %s: %lld of %lld codes differ, objectives by %.1e\n", name, method,
                  static_cast<long long>(apart.differing), static_cast<long long>(apart.codes), apart.objective);
      // Sums that differ in their last bit round to other neighbours where they stand at a tie, 2⁻⁸ apart: then a few
      // hidden states of so few tokens are others, and all that is solved after them.
      CHECK(apart.objective <= (apart.differing == 0 ? 1e-4 : 5e-2));
      CHECK(same(there, scene.walk(device.get())));
      Kept rest = scene.walk(device.get(), &there, 1);
      CHECK(rest.matrices.size() < there.matrices.size());
      for (const auto& [module, matrix] : rest.matrices) CHECK(same_codes(matrix, there.matrices.at(module)));
      CHECK(same(there, scene.walk(device.get(), nullptr, 0, Reading::WhenAsked)));
      recipe.compute = Compute::Float;
      CHECK(!same(there, scene_of(name, in_bfloat, recipe).walk(device.get())));  // what was rounded shows
    }
}

TEST_CASE("a plan counts weights in bfloat16 as they are held, and what is rounded") {
  const auto device = walk_device();
  if (!device) return;
  const auto fixed = [&](bool in_bfloat, Compute compute) {
    Recipe recipe = recipe_of("gptqv2");
    recipe.compute = compute;
    const Scene scene = scene_of("llama_gqa", in_bfloat, recipe);
    return plan_over(cpu, scene.model, scene.recipe, 6, 24, device.get()).device.fixed_bytes;
  };
  // 64 wide, 4 heads, 2 of keys; 88 inside: the linears of a block, held for two streams and for the block ahead.
  const Index elements = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 88;
  const Index wide = fixed(false, Compute::Float), rounded = fixed(false, Compute::BFloat16);
  CHECK(fixed(true, Compute::Float) == wide);
  CHECK(rounded > wide);
  CHECK(fixed(true, Compute::Auto) == rounded - 3 * 2 * elements - 2 * elements);
}

TEST_CASE("auto is 16-bit products where the checkpoint's weights are 16-bit, and the plan says so") {
  const auto device = walk_device();
  if (!device) return;
  const auto plan = [&](const char* name, Compute compute) {
    Recipe recipe = recipe_of("gptq");
    recipe.compute = compute;
    const Scene scene(name, recipe);
    return plan_over(cpu, scene.model, scene.recipe, 6, 24, device.get());
  };
  CHECK(plan("llama_gqa_bf16", Compute::Auto).products == ProductType::BFloat16);
  CHECK(plan("llama_gqa_bf16", Compute::Float).products == ProductType::Float);
  CHECK(plan("llama_gqa", Compute::Auto).products == ProductType::Float);
  CHECK(plan("llama_gqa", Compute::BFloat16).products == ProductType::BFloat16);
  CHECK_THAT(plan_table(plan("llama_gqa_bf16", Compute::Auto), 0), Catch::Contains("1 stream(s), products of bf16"));
  CHECK(plan_json(plan("llama_gqa_bf16", Compute::Auto), 0).at("products") == "bf16");
  CHECK(plan_json(plan("llama_gqa", Compute::Auto), 0).at("products") == "float");
}

TEST_CASE("a run that goes on ends in the same bytes, on the device too") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* method : {"gptq", "gptqv2"}) {
    const Scene scene("llama_gqa", recipe_of(method));
    const Kept whole = scene.walk(device.get());
    Kept rest = scene.walk(device.get(), &whole, 1);
    CHECK(rest.matrices.size() < whole.matrices.size());
    for (const auto& [module, matrix] : rest.matrices) CHECK(same_codes(matrix, whole.matrices.at(module)));
  }
}

TEST_CASE("a comparison solves on the device what a walk alone solves there") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* method : {"gptq", "gptqv2"}) {
    Recipe recipe = recipe_of(method);
    recipe.compute = Compute::BFloat16;  // of weights that a walk holds in bfloat16, a comparison in float
    const Scene scene = scene_of("llama_gqa", true, recipe);
    const Kept alone = scene.walk(device.get());
    const std::vector<NamedRecipe> one{{"one", scene.recipe}};
    const ComparisonReport report = compare_on(cpu, scene.model, one, scene.ids, {}, device.get());
    REQUIRE(report.recipes.at(0).layers.size() == alone.matrices.size());
    for (const LayerReport& layer : report.recipes[0].layers)
      CHECK(layer.solve.relative_error == alone.matrices.at(layer.module).report.relative_error);
  }
  Recipe tuned = recipe_of("gptq");
  tuned.tune = parse_tune("steps=4,batch=4,rate=0.01,held_out=0");
  const Scene scene("llama_gqa", tuned);
  const Kept alone = scene.walk(device.get());
  const std::vector<NamedRecipe> two{{"one", scene.recipe}, {"other", recipe_of("rtn")}};
  const ComparisonReport report = compare_on(cpu, scene.model, two, scene.ids, {}, device.get());
  for (const LayerReport& layer : report.recipes.at(0).layers)
    CHECK(layer.solve.relative_error == alone.matrices.at(layer.module).report.relative_error);
}

TEST_CASE("weights that are carried ahead are those that are copied when they are needed") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* name : {"llama_gqa", "opt", "qwen2_bias_tied"}) {
    const Scene scene(name, recipe_of("gptqv2"));
    CHECK(same(scene.walk(device.get(), nullptr, 0, Reading::Ahead),
               scene.walk(device.get(), nullptr, 0, Reading::WhenAsked)));
  }
}

TEST_CASE("hidden states and sums that the limit has no room for are spilled, with the same bytes") {
  const auto roomy = walk_device();
  if (!roomy) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  Recipe recipe = recipe_of("gptqv2", {{"bits", "3"}, {"group_size", "16"}, {"alpha", "auto"}});
  recipe.compute = Compute::BFloat16;
  for (const bool in_bfloat : {false, true}) {
    const Scene rounded = scene_of("llama_gqa", in_bfloat, recipe);
    CHECK(same(rounded.walk(tight.get()), rounded.walk(roomy.get())));
  }
  recipe.compute = Compute::Float;
  const Scene scene("llama_gqa", recipe);
  const RunPlan plan = plan_over(cpu, scene.model, scene.recipe, 6, 24, tight.get());
  CHECK(plan.device.name == tight->name());
  CHECK(plan.device.resident == 0);  // less than what is set aside for the rest
  for (const PlannedStage& stage : plan.blocks[0]) CHECK(stage.spill_sums);
  CHECK(plan.device.sums_bytes == 4 * 4 * 88 * 88);  // H, D and the same held out, of the widest inputs
  CHECK(plan.memory.statistics == plan.device.sums_bytes);
  const RunPlan at_ease = plan_over(cpu, scene.model, scene.recipe, 6, 24, roomy.get());
  CHECK(at_ease.device.resident == 6 * 24);
  CHECK(at_ease.device.sums_bytes == 0);
  for (const PlannedStage& stage : at_ease.blocks[0]) CHECK(!stage.spill_sums);
  CHECK(same(scene.walk(tight.get()), scene.walk(roomy.get())));
}

TEST_CASE("where a solve finds too little memory hidden states and sums make room, and the report says so") {
  const Index limit = Index{512} << 20;
  const auto held = device_context({.device = 0, .memory_limit = limit});
  if (!held) return;
  const Context<Cuda>& context = *held;
  Recipe recipe = recipe_of("gptqv2");
  recipe.compute = GENERATE(Compute::Float, Compute::BFloat16);
  const Scene scene = scene_of("llama_gqa", GENERATE(false, true), recipe);
  const RunPlan plan = plan_over(cpu, scene.model, scene.recipe, 6, 24);
  const auto walk = [&] {
    Kept output(find_format(plan.format));
    const ProgressCallback silent;
    ProgressMeter meter(plan, silent, "");
    Walk<Cuda>({cpu, context}, scene.model, plan, scene.ids.view(), Reading::WhenAsked, output, meter).run();
    return output;
  };
  const auto says = [](const Kept& kept, const std::string& what) {
    for (const auto& [module, matrix] : kept.matrices)
      for (const std::string& note : matrix.report.notes)
        if (note.find("the device's memory was short: " + what) == 0) return true;
    return false;
  };
  const Index before = context.memory_in_use();
  const Kept expected = walk();
  CHECK(!says(expected, ""));
  const Index used = context.memory_peak() - before;
  bool hidden_moved = false, sums_moved = false, refused = false;
  for (Index left = used - used / 32; left > 0 && !refused; left -= used / 32) {
    const Ballast ballast(context, limit - before - left);
    try {
      const Kept kept = walk();
      CHECK(Apart(expected, kept).objective <= 1e-4);
      hidden_moved = hidden_moved || says(kept, "hidden states");
      sums_moved = sums_moved || says(kept, "the sums");
    } catch (const Error& error) {
      CHECK(error.status() == Status::OutOfMemory);
      refused = true;
    }
  }
  CHECK(hidden_moved);
  CHECK(sums_moved);
  CHECK(refused);
}

TEST_CASE("a plan says what the device holds, and a journal knows the device but not its limit") {
  const auto device = walk_device();
  if (!device) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  const Scene scene("llama_gqa", recipe_of("gptq"));
  const auto plan = [&](const WalkDevice* on) { return plan_over(cpu, scene.model, scene.recipe, 6, 24, on); };
  const auto fingerprint = [&](const WalkDevice* on) {
    return run_fingerprint(cpu, scene.model, plan(on), 1, scene.ids.view());
  };
  CHECK(fingerprint(device.get()) != fingerprint(nullptr));
  CHECK(fingerprint(device.get()) == fingerprint(tight.get()));
  const std::string table = plan_table(plan(tight.get()), 0);
  CHECK_THAT(table, Catch::Contains("device        " + device->name()));
  CHECK_THAT(table, Catch::Contains("0 of 144 tokens, the others stay with the host"));
  CHECK_THAT(table, !Catch::Contains("time          about"));
  const nlohmann::json document = plan_json(plan(device.get()), 0);
  CHECK(document.at("device").at("resident_tokens") == 144);
  CHECK(document.at("seconds").is_null());
  CHECK(plan_json(plan(nullptr), 1).at("device").is_null());
}

TEST_CASE("what needs no data runs without") {
  const auto device = walk_device();
  if (!device) return;
  const Scene plain("llama_gqa", recipe_of("rtn"));
  CHECK(same(plain.walk(device.get()), plain.walk(nullptr)));
  CHECK(plan_over(cpu, plain.model, plain.recipe, 6, 24, device.get()).device.token_bytes == 0);
}
