// Comparisons of recipes: the same table on both backends.
#include "halftone/backend/cuda_nn.hpp"
#include "model/bfloat_model.hpp"
#include "pipeline/comparison_run.hpp"
#include "walk_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// Recipes that differ in what they need of the streams: nothing, one, two, and two only in the first block.
std::vector<NamedRecipe> recipes_of(const std::filesystem::path& calibration) {
  std::vector<NamedRecipe> list;
  list.push_back({"plain", small_recipe("rtn", calibration)});
  list.push_back({"diffused", small_recipe("gptq", calibration)});
  list.push_back({"aimed", small_recipe("gptqv2", calibration)});
  list.push_back({"mixed", small_recipe("rtn", calibration)});
  list.back().recipe.layers.push_back({"[.]0[.].*(fc1|up_proj)", false, "gptqv2", {{"bits", "4"}}});
  list.back().recipe.layers.push_back({"[.]1[.].*(q_proj|fc2|down_proj)", true, {}, {}});
  list.push_back({"in values", small_recipe("gptq", calibration)});
  list.back().recipe.format = "dense";
  return list;
}

struct Contest {
  explicit Contest(const std::string& name) : Contest(std::make_shared<const Checkpoint>(model_folder(name))) {}
  explicit Contest(std::shared_ptr<const Checkpoint> source)
      : checkpoint(std::move(source)),
        model(*checkpoint),
        calibration(write_ids(folder / "calibration.safetensors", 12, 24, model.vocabulary())),
        ids(read_ids(write_ids(folder / "ids.safetensors", 30, 20, model.vocabulary(), 7))),
        recipes(recipes_of(calibration)) {}

  ComparisonReport on(const WalkDevice* device) const { return compare_on(cpu, model, recipes, ids, {}, device); }

  TemporaryFolder folder;
  std::shared_ptr<const Checkpoint> checkpoint;
  Model model;
  std::filesystem::path calibration;
  Matrix<std::int32_t> ids;
  std::vector<NamedRecipe> recipes;
};

bool same(const Evaluation& a, const Evaluation& b) {
  return a.nll == b.nll && a.divergence->kl == b.divergence->kl && a.divergence->kl_p99 == b.divergence->kl_p99 &&
         a.divergence->top1 == b.divergence->top1;
}

/// Every measure, to the last bit.
bool same(const ComparedModel& a, const ComparedModel& b) {
  bool all = same(a.evaluation, b.evaluation) && a.layers.size() == b.layers.size();
  for (std::size_t i = 0; all && i < a.layers.size(); ++i)
    all = a.layers[i].module == b.layers[i].module &&
          a.layers[i].solve.relative_error == b.layers[i].solve.relative_error;
  return all;
}
bool same(const ComparisonReport& a, const ComparisonReport& b) {
  bool all = same(a.original, b.original) && a.recipes.size() == b.recipes.size();
  for (std::size_t i = 0; all && i < a.recipes.size(); ++i) all = same(a.recipes[i], b.recipes[i]);
  return all;
}

}  // namespace

TEST_CASE("a comparison on the device has the CPU's table, twice in the same bytes") {
  const auto device = walk_device();
  if (!device) return;
  double worst_nll = 0, worst_kl = 0;
  for (const char* name : {"llama_gqa", "opt"}) {
    const Contest contest(name);
    const ComparisonReport here = contest.on(nullptr), there = contest.on(device.get());
    CHECK(std::abs(there.original.evaluation.nll - here.original.evaluation.nll) < 1e-5);
    CHECK(there.original.evaluation.divergence->kl == 0);
    CHECK(there.original.evaluation.divergence->top1 == 1);
    CHECK(there.original.bits_per_weight == here.original.bits_per_weight);
    REQUIRE(there.recipes.size() == here.recipes.size());
    for (std::size_t i = 0; i < here.recipes.size(); ++i) {
      const ComparedModel &a = here.recipes[i], &b = there.recipes[i];
      INFO(name << ", " << a.name);
      CHECK(b.name == a.name);
      CHECK(b.method == a.method);
      CHECK(b.format == a.format);
      CHECK(b.notes == a.notes);
      CHECK(b.bits_per_weight == a.bits_per_weight);
      CHECK(b.bytes == a.bytes);
      worst_nll = std::max(worst_nll, std::abs(b.evaluation.nll - a.evaluation.nll));
      worst_kl = std::max(worst_kl, std::abs(b.evaluation.divergence->kl - a.evaluation.divergence->kl));
      // A code at a tie may round to its other neighbour, and then what is solved behind it is another matrix.
      CHECK(std::abs(b.evaluation.nll - a.evaluation.nll) < 1e-3);
      CHECK(b.evaluation.divergence->kl == Approx(a.evaluation.divergence->kl).epsilon(2e-2));
      CHECK(a.evaluation.divergence->kl > 1e-3);
      REQUIRE(b.layers.size() == a.layers.size());
      for (std::size_t k = 0; k < a.layers.size(); ++k) {
        CHECK(b.layers[k].module == a.layers[k].module);
        CHECK(b.layers[k].bits_per_weight == a.layers[k].bits_per_weight);
        CHECK(b.layers[k].solve.relative_error == Approx(a.layers[k].solve.relative_error).epsilon(1e-2));
      }
    }
    CHECK(same(there, contest.on(device.get())));
  }
  std::printf("comparison: NLL differs by at most %.1e, KL by %.1e\n", worst_nll, worst_kl);
}

TEST_CASE("a recipe among others ends on the device as it does alone there") {
  const auto device = walk_device();
  if (!device) return;
  const Contest contest("llama_gqa");
  const ComparisonReport together = contest.on(device.get());
  for (std::size_t i = 0; i < contest.recipes.size(); ++i) {
    INFO(contest.recipes[i].name);
    const std::vector<NamedRecipe> one{contest.recipes[i]};
    const ComparisonReport alone = compare_on(cpu, contest.model, one, contest.ids, {}, device.get());
    CHECK(same(alone.recipes.at(0), together.recipes[i]));
    CHECK(same(alone.original, together.original));
  }
}

TEST_CASE("a comparison with little memory spills, says so, and ends in the same bytes") {
  const auto roomy = walk_device();
  if (!roomy) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  for (const char* name : {"llama_gqa", "opt"}) {
    const Contest contest(name);
    const ComparisonReport there = contest.on(tight.get());
    CHECK(same(there, contest.on(roomy.get())));
    for (const ComparedModel& row : there.recipes) {
      INFO(row.name);
      const auto says = [&](const char* note) { return std::count(row.notes.begin(), row.notes.end(), note); };
      const bool reads = row.name != "plain";
      CHECK(says("the device's memory has room for the hidden states of 0 of 288 tokens, the others stay with the "
                 "host") == reads);
      CHECK(says("the device's memory has no room for the sums of a stage beside its solver, they are with the host "
                 "meanwhile") == reads);
    }
  }
}

TEST_CASE("where memory is too short for a block of every recipe the error says what would help") {
  if (!walk_device()) return;
  const Contest contest("llama_gqa");
  bool refused = false, done = false;
  for (Index limit = Index{1} << 16; limit < Index{128} << 20 && !done; limit *= 2) {
    std::unique_ptr<WalkDevice> small;
    if (!error_of([&] { small = walk_device({.device = 0, .memory_limit = limit}); }).empty()) continue;
    const std::string error = error_of([&] { contest.on(small.get()); });
    done = error.empty();
    if (done) continue;
    CHECK_THAT(error, Catch::StartsWith("out_of_memory: compare: 5 recipes at once, fewer need less: "));
    refused = true;
  }
  CHECK(refused);
  CHECK(done);
}

TEST_CASE("room is counted for the streams of all recipes, with an equal share for each") {
  const Contest contest("llama_gqa");
  const auto room = [&](std::size_t recipes, Index bytes) {
    std::deque<ComparedRecipe> compared;
    for (std::size_t i = 0; i < recipes; ++i) compared.emplace_back(cpu, contest.model, contest.recipes[i], nullptr);
    const Matrix<std::int32_t> calibration = read_ids(contest.calibration);
    return comparison_room(contest.model, compared, calibration, contest.ids, bytes);
  };
  CHECK(room(5, Index{1} << 40).calibration == 12 * 24);
  CHECK(room(5, Index{1} << 40).evaluation == 30 * 19);
  CHECK(room(5, Index{1} << 40).ahead);
  CHECK(room(5, 1000).calibration == 0);
  CHECK(room(5, 1000).evaluation == 0);
  CHECK(!room(5, 1000).ahead);
  Index some = 256'000'000;  // what is set aside for libraries, and a few megabytes more
  while (room(5, some).evaluation == 0) some += 100'000;
  some += 500'000;
  const ComparisonRoom half = room(5, some), fewer = room(2, some);
  CHECK(half.evaluation < 30 * 19);
  CHECK(fewer.evaluation > half.evaluation);
  CHECK(static_cast<double>(half.calibration) / (12 * 24) ==
        Approx(static_cast<double>(half.evaluation) / (30 * 19)).margin(1.0 / (12 * 24)));
}

TEST_CASE("16-bit products are compared on the device as on the CPU") {
  const auto device = walk_device();
  if (!device) return;
  const auto half = std::make_shared<const BFloatModel>("llama_gqa");
  Contest contest({half, &half->checkpoint()});
  contest.recipes.resize(3);
  const ComparisonReport there = contest.on(device.get());  // auto: with them
  CHECK(same(there, contest.on(device.get())));
  for (NamedRecipe& named : contest.recipes) named.recipe.compute = Compute::Float;
  CHECK(!same(there.recipes[1], contest.on(device.get()).recipes[1]));
  for (NamedRecipe& named : contest.recipes) named.recipe.compute = Compute::BFloat16;
  CHECK(same(there, contest.on(device.get())));
  const ComparisonReport here = contest.on(nullptr);
  for (std::size_t i = 0; i < here.recipes.size(); ++i) {
    INFO(here.recipes[i].name);
    const Evaluation &a = here.recipes[i].evaluation, &b = there.recipes[i].evaluation;
    CHECK(std::abs(b.nll - a.nll) < 2e-2);  // a sum that rounds to its other neighbour, 2⁻⁸ apart
    CHECK(b.divergence->kl == Approx(a.divergence->kl).epsilon(0.1));
  }
}

TEST_CASE("a comparison on the device reports its progress and can be stopped") {
  const auto device = walk_device();
  if (!device) return;
  const Contest contest("opt");
  Progress last;
  Index matrices = 0;
  compare_on(
      cpu, contest.model, contest.recipes, contest.ids,
      [&](const Progress& progress) {
        matrices += progress.phase == Phase::Solve ? 1 : 0;
        last = progress;
        return true;
      },
      device.get());
  CHECK(last.phase == Phase::Evaluate);
  CHECK(last.matrices_done == matrices);
  CHECK(last.matrices == matrices);
  CHECK(last.blocks_done == contest.model.blocks());
  CHECK(error_of([&] {
          compare_on(
              cpu, contest.model, contest.recipes, contest.ids,
              [](const Progress& progress) { return progress.blocks_done < 1; }, device.get());
        }) == "cancelled: compare: stopped as asked, after 1 of 2 blocks; nothing is kept");
}

TEST_CASE("recipes that tune are compared on the device, after the others and with its memory for themselves") {
  const auto device = walk_device();
  if (!device) return;
  const auto tight = walk_device({.device = 0, .memory_limit = Index{200} << 20});
  Contest contest("llama_gqa");
  contest.recipes.resize(2);
  contest.recipes.push_back({"tuned", small_recipe("gptq", contest.calibration)});
  contest.recipes.back().recipe.tune = parse_tune("steps=6,batch=4,rate=0.03,held_out=0");
  contest.recipes.push_back({"tuned from plain rounding", small_recipe("rtn", contest.calibration)});
  contest.recipes.back().recipe.tune =
      parse_tune("steps=6,batch=4,nblocks=2,trainable=signround,optimiser=signsgd,held_out=0");
  Index steps = 0;
  const ComparisonReport here = contest.on(nullptr);
  const ComparisonReport there = compare_on(
      cpu, contest.model, contest.recipes, contest.ids,
      [&](const Progress& progress) {
        steps += progress.tuning != nullptr ? 1 : 0;
        return true;
      },
      device.get());
  CHECK(steps == 6 * contest.model.blocks() + 6);
  for (std::size_t i = 0; i < here.recipes.size(); ++i) {
    INFO(here.recipes[i].name);
    const double a = here.recipes[i].evaluation.divergence->kl, b = there.recipes[i].evaluation.divergence->kl;
    std::printf("compared, %s: KL differs by %.1e of %.1e\n", here.recipes[i].name.c_str(), std::abs(b - a), a);
    CHECK(std::abs(b - a) < 0.2 * a);  // a code at a tie goes another way, and with it what is trained after it
    CHECK(there.recipes[i].layers.size() == here.recipes[i].layers.size());
    CHECK(there.recipes[i].bits_per_weight == here.recipes[i].bits_per_weight);
  }
  CHECK(same(there, contest.on(device.get())));
  CHECK(same(there, contest.on(tight.get())));
}
