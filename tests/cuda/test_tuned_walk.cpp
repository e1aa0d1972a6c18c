// Whole models, tuned in windows of blocks: the walk on both backends.
#include "halftone/backend/cuda_copier.hpp"
#include "pipeline/tuned_walk.hpp"
#include "walk_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Windows of every kind.
constexpr const char* kinds[] = {"lookahead=0", "lookahead=1", "nblocks=2,lookahead=0", "nblocks=2,step=1"};

Recipe tuned_recipe(const std::string& kind, const std::string& method = "gptqv2") {
  Recipe recipe = recipe_of(method, {{"bits", "2"}, {"group_size", "16"}});
  recipe.tune = parse_tune("steps=12,batch=4,looks=4,rate=0.01,held_out=0," + kind);
  return recipe;
}

/// A walk with the losses of its steps, in order.
struct Tuned {
  Tuned(const Scene& scene, const WalkDevice* device, const Kept* earlier = nullptr, Index finished = 0,
        int window = -1)
      : kept(scene.walk(device, earlier, finished, Reading::Ahead, window, [this](const Progress& now) {
          if (now.tuning != nullptr) losses.push_back(now.tuning->loss);
          return true;
        })) {}
  std::vector<double> losses;
  Kept kept;
};

/// Loss that a window ends with, of its matrices' notes: "... loss A of B before, ...".
double final_loss(const QuantizedMatrix& matrix) {
  const std::string& note = matrix.report.notes.back();
  const auto at = note.find("loss ");
  REQUIRE(at != std::string::npos);
  return std::stod(note.substr(at + 5));
}

/// True if what `rest` solved is what `whole` did.
bool same_part(const Kept& rest, const Kept& whole) {
  for (const auto& [module, matrix] : rest.matrices)
    if (!same_codes(matrix, whole.matrices.at(module))) return false;
  return true;
}

}  // namespace

TEST_CASE("a model tuned on the device loses what it loses on the CPU, and ends twice in the same bytes") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* kind : kinds) {
    INFO(kind);
    const Scene scene("llama_gqa", tuned_recipe(kind));
    const Tuned here(scene, nullptr), there(scene, device.get());
    REQUIRE(there.losses.size() == here.losses.size());
    CHECK(there.losses[0] == Approx(here.losses[0]).epsilon(1e-4));  // of the same solve
    double worst = 0, worst_end = 0;
    for (std::size_t i = 0; i < here.losses.size(); ++i)
      worst = std::max(worst, std::abs(there.losses[i] / here.losses[i] - 1));
    REQUIRE(there.kept.matrices.size() == here.kept.matrices.size());
    for (const auto& [module, matrix] : here.kept.matrices)
      worst_end = std::max(worst_end, std::abs(final_loss(there.kept.matrices.at(module)) / final_loss(matrix) - 1));
    const Apart apart(here.kept, there.kept);
    std::printf("tuned, %s: losses of steps differ by at most %.1e, of windows by %.1e, %lld of %lld codes\n", kind,
                worst, worst_end, static_cast<long long>(apart.differing), static_cast<long long>(apart.codes));
    // A code that stands at a tie goes another way, and with it what is trained after it.
    CHECK(worst < 0.05);
    CHECK(worst_end < 0.05);
    CHECK(same(there.kept, Tuned(scene, device.get()).kept));
    Recipe untuned = scene.recipe;
    untuned.tune = TuneOptions{.steps = 0};
    CHECK(!same(there.kept, Scene("llama_gqa", untuned).walk(device.get())));
  }
}

TEST_CASE("models and methods of every kind are tuned on the device") {
  const auto device = walk_device();
  if (!device) return;
  const std::pair<const char*, const char*> runs[] = {{"opt", "gptq"},
                                                      {"gemma2", "owq"},
                                                      {"phi3_fused", "gptqt"},
                                                      {"qwen3_qk_norm", "rtn"},
                                                      {"mistral_window", "gptq"}};
  for (const auto& [name, method] : runs) {
    INFO(name << " by " << method);
    const Scene scene(name, tuned_recipe("lookahead=1", method));
    const Tuned here(scene, nullptr), there(scene, device.get());
    REQUIRE(there.losses.size() == here.losses.size());
    for (std::size_t i = 0; i < here.losses.size(); ++i) CHECK(there.losses[i] == Approx(here.losses[i]).epsilon(0.05));
  }
}

TEST_CASE("a tuned run that goes on ends in the same bytes, on the device too") {
  const auto device = walk_device();
  if (!device) return;
  for (const char* kind : {"lookahead=1", "nblocks=2,step=1"}) {
    INFO(kind);
    const Scene scene("llama_gqa", tuned_recipe(kind));
    const Tuned whole(scene, device.get());
    if (whole.kept.windows.empty()) {
      const Tuned rest(scene, device.get(), &whole.kept, 1);
      CHECK(rest.kept.matrices.size() < whole.kept.matrices.size());
      CHECK(rest.losses.size() < whole.losses.size());
      CHECK(same_part(rest.kept, whole.kept));
      continue;
    }
    REQUIRE(whole.kept.windows.size() == 2);  // of [0, 1) [0, 2) [1, 2): the last one is written
    for (int window = 0; window < 2; ++window)
      for (Index finished = 0; finished <= window; ++finished) {
        const Tuned rest(scene, device.get(), &whole.kept, finished, window);
        CHECK(rest.losses == std::vector<double>(whole.losses.begin() + 12 * (window + 1), whole.losses.end()));
        CHECK(same_part(rest.kept, whole.kept));
      }
  }
}

TEST_CASE("tuning from hidden states that the limit has no room for gives the same bytes") {
  const auto roomy = walk_device();
  if (!roomy) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  for (const char* kind : kinds) {
    INFO(kind);
    const Scene scene("llama_gqa", tuned_recipe(kind));
    CHECK(plan_over(cpu, scene.model, scene.recipe, 6, 24, tight.get()).device.resident == 0);
    CHECK(plan_over(cpu, scene.model, scene.recipe, 6, 24, roomy.get()).device.resident == 6 * 24);
    const Tuned near(scene, roomy.get()), spilled(scene, tight.get());
    CHECK(same(spilled.kept, near.kept));
    CHECK(spilled.losses == near.losses);
  }
}

TEST_CASE("where tuning finds too little memory hidden states make room and the report says so, or there is an error") {
  const Index limit = Index{512} << 20;
  const auto held = device_context({.device = 0, .memory_limit = limit});
  if (!held) return;
  const Context<Cuda>& context = *held;
  const Scene scene("llama_gqa", tuned_recipe("lookahead=1"));
  const RunPlan plan = plan_over(cpu, scene.model, scene.recipe, 6, 24);
  const auto walk = [&] {
    Kept output(find_format(plan.format));
    const ProgressCallback silent;
    ProgressMeter meter(plan, silent, "");
    TunedWalk<Cuda>({cpu, context}, scene.model, plan, scene.ids.view(), output, meter).run();
    return output;
  };
  const auto said = [](const Kept& kept) {
    for (const auto& [module, matrix] : kept.matrices)
      for (const std::string& note : matrix.report.notes)
        if (note.find("the device's memory was short") == 0) return true;
    return false;
  };
  const Index before = context.memory_in_use();
  const Kept expected = walk();
  CHECK(!said(expected));
  const Index used = context.memory_peak() - before;
  bool told = false, refused = false;
  for (Index left = used - used / 16; left > 0 && !refused; left -= used / 16) {
    const Ballast ballast(context, limit - before - left);
    try {
      const Kept kept = walk();
      CHECK(Apart(expected, kept).objective < 5e-2);  // chunks that were halved may round otherwise
      told = told || said(kept);
    } catch (const Error& error) {
      CHECK(error.status() == Status::OutOfMemory);
      refused = true;
    }
  }
  CHECK(told);
  CHECK(refused);
}

TEST_CASE("a plan counts what tuning holds on the device") {
  const auto device = walk_device();
  if (!device) return;
  const auto plan = [&](const Recipe& recipe) {
    const Scene scene("llama_gqa", recipe);
    return plan_over(cpu, scene.model, scene.recipe, 6, 24, device.get());
  };
  Recipe untuned = tuned_recipe("lookahead=0");
  untuned.tune = TuneOptions{.steps = 0};
  const Index elements = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 88, weights = 4 * (elements + 2 * 64);
  const RunPlan none = plan(untuned), one = plan(tuned_recipe("lookahead=0")),
                behind = plan(tuned_recipe("lookahead=1")), both = plan(tuned_recipe("nblocks=2,lookahead=0"));
  CHECK(one.device.fixed_bytes > none.device.fixed_bytes);
  // Two blocks: originals of both and a copy of the first, its trained numbers and gradients, values of one block.
  CHECK(one.device.fixed_bytes >= 256'000'000 + 3 * weights + 26 * elements);
  CHECK(behind.device.fixed_bytes >= one.device.fixed_bytes);
  CHECK(both.device.fixed_bytes >= 256'000'000 + 4 * weights + 52 * elements);
  // Of a token: both streams inside a block, the one ahead and the window's input.
  CHECK(one.device.token_bytes == none.device.token_bytes + 2 * 4 * 64);
  CHECK(one.memory.tuning == 0);
}

TEST_CASE("a tuned walk takes no more of the device than its plan says") {
  const auto device = walk_device();
  if (!device) return;
  const std::pair<const char*, const char*> runs[] = {
      {"gptqv2", "lookahead=0"},
      {"gptqv2", "lookahead=1,trainable=lsq,momentum=0.9"},
      {"gptq", "lookahead=1,trainable=signround,optimiser=signsgd"},
      {"gptq", "nblocks=2,lookahead=0,trainable=signround,momentum=0.9"},
      {"gptqt", "nblocks=2,step=1"},
      {"rtn", "nblocks=2,step=1,trainable=scales"}};
  for (const auto& [method, kind] : runs) {
    INFO(method << ", " << kind);
    const Scene scene("llama_gqa", tuned_recipe(kind, method));
    const RunPlan plan = plan_over(cpu, scene.model, scene.recipe, 6, 24, device.get());
    const Context<Cuda> context;
    const Index before = context.memory_in_use();
    Kept output(find_format(plan.format));
    const ProgressCallback silent;
    ProgressMeter meter(plan, silent, "");
    TunedWalk<Cuda>({cpu, context}, scene.model, plan, scene.ids.view(), output, meter, {.resident = 0}).run();
    const auto taken = static_cast<double>(context.memory_peak() - before);
    const auto planned = static_cast<double>(plan.device.fixed_bytes - 256'000'000);
    std::printf("tuned by %s, %s: %.0f kB of the device, %.0f planned\n", method, kind, taken / 1e3, planned / 1e3);
    // Small matrices are rounded up, and freed memory serves for what is smaller.
    CHECK(taken < 1.25 * planned);
  }
}
