// The outlier budget in a plan and in a run: what the figures say against what was asked for.
#include <nlohmann/json.hpp>

#include "pipeline/run_support.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

/// A model, and a recipe for it without a budget.
struct Scene {
  TemporaryFolder folder;
  Checkpoint checkpoint;
  Model model{checkpoint};
  Recipe recipe;

  explicit Scene(const std::filesystem::path& path) : checkpoint(path) {
    recipe.method = "owq";
    recipe.options = {{"group_size", "-1"}};
    recipe.format = "dense";
    recipe.calibration.file = write_ids(folder / "ids.safetensors", 8, 32, model.vocabulary());
  }
  RunPlan plan() const { return make_plan(Context<Cpu>(1), model, recipe, 8, 32); }
  void refused(Status status, std::initializer_list<std::string_view> words) const {
    expect_error(status, words, [&] { plan(); });
  }
};

std::filesystem::path novella() { return std::filesystem::path(HALFTONE_MODELS) / "novella"; }

std::vector<PlannedMatrix> matrices_of(const RunPlan& plan) {
  std::vector<PlannedMatrix> list;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages) list.insert(list.end(), stage.matrices.begin(), stage.matrices.end());
  return list;
}

std::string all_notes(const RunPlan& plan) {
  std::string text;
  for (const std::string& note : plan.notes) text += note + "\n";
  return text;
}

bool fits_one_more(const RunPlan& plan, double target, const MatrixPlan& matrix) {
  MatrixPlan more = matrix;
  ++more.outlier_columns;
  const auto bits = static_cast<double>(packed_bits(more) - packed_bits(matrix));
  const auto weights = static_cast<double>(plan.weights);
  return (plan.code_bits_per_weight * weights + bits) / weights <= target;
}

}  // namespace

TEST_CASE("a plan spends its budget: within the target, and no column more would fit") {
  for (const auto& path : {novella(), model_folder("llama_gqa"), model_folder("opt"), model_folder("phi3_fused")})
    for (const char* group : {"-1", "32"}) {
      INFO(path << ", groups of " << group);
      Scene scene(path);
      scene.recipe.options["group_size"] = group;
      scene.recipe.options["bits"] = "3";
      scene.recipe.budget.target_bits = 4.7;
      const RunPlan plan = scene.plan();
      CHECK(plan.code_bits_per_weight <= 4.7);
      CHECK(plan.code_bits_per_weight > 4.6);
      Index bits = 0;
      for (const PlannedMatrix& planned : matrices_of(plan)) {
        CHECK(planned.matrix.outlier_columns > 0);
        CHECK(planned.options.at("outlier_columns") == std::to_string(planned.matrix.outlier_columns));
        CHECK_FALSE(fits_one_more(plan, 4.7, planned.matrix));
        bits += planned.code_bits;
      }
      CHECK(static_cast<double>(bits) / static_cast<double>(plan.weights) == plan.code_bits_per_weight);
      CHECK_THAT(all_notes(plan), Catch::Contains("budget of 4.7 bits") && Catch::Contains("really stored are 4."));
    }
}

TEST_CASE("groups that outlier columns take out of their order are paid for") {
  Scene scene(novella());
  scene.recipe.options = {{"group_size", "64"}, {"groups", "fresh"}};
  scene.recipe.budget.target_bits = 3.7;
  const RunPlan plan = scene.plan();
  CHECK(plan.code_bits_per_weight <= 3.7);
  for (const PlannedMatrix& planned : matrices_of(plan)) {
    CHECK(planned.matrix.group_index);
    CHECK_FALSE(fits_one_more(plan, 3.7, planned.matrix));
  }
}

TEST_CASE("bits are the whole part of the target unless they are named") {
  Scene scene(novella());
  scene.recipe.budget.target_bits = 3.2;
  for (const PlannedMatrix& planned : matrices_of(scene.plan())) CHECK(planned.matrix.grid.bits == 3);
  scene.recipe.options["bits"] = "2";
  for (const PlannedMatrix& planned : matrices_of(scene.plan())) CHECK(planned.matrix.grid.bits == 2);
}

TEST_CASE("the paper's rule in a plan, and what it really stores") {
  Scene scene(novella());
  scene.recipe.budget = {.target_bits = 3.2, .rule = BudgetRule::Paper, .shares = {}};
  const auto columns = [](const RunPlan& plan, const std::string& end) {
    for (const PlannedMatrix& planned : matrices_of(plan))
      if (planned.matrix.module.ends_with(end)) return planned.matrix.outlier_columns;
    return Index{-1};
  };
  const RunPlan plan = scene.plan();
  // r = 12/13 · 0.2/7 = 0.02637; 256·r = 6.75, 256·0.375·r = 2.53, 512·0.375·r = 5.06; made even
  CHECK(columns(plan, "q_proj") == 8);
  CHECK(columns(plan, "up_proj") == 4);
  CHECK(columns(plan, "down_proj") == 6);
  CHECK(plan.code_bits_per_weight > 3.3);
  CHECK_THAT(all_notes(plan), Catch::Contains("paper's rule counts 3.2") && Catch::Contains("stored are 3.3"));

  scene.recipe.layers.push_back({"mlp", true, {}, {}});  // four layers share: r = 0.04615, 256·r = 11.8
  CHECK(columns(scene.plan(), "q_proj") == 12);
  scene.recipe.layers.clear();
  scene.recipe.budget.shares = {{"q_proj", 1}, {"proj", 7}};  // "proj" is no whole name
  CHECK(columns(scene.plan(), "q_proj") == 8);
  CHECK_THAT(all_notes(scene.plan()), Catch::Contains("'proj' fits no module"));
  scene.recipe.budget.shares = {{"mlp.down_proj", 0}, {"down_proj", 9}};  // the longest decides; six layers share
  CHECK(columns(scene.plan(), "down_proj") == 0);
  CHECK(columns(scene.plan(), "q_proj") == 8);  // 7.88

  scene.recipe.layers.push_back({"k_proj", false, {}, {{"bits", "4"}}});
  scene.refused(Status::InvalidArgument, {"k_proj", "4", "paper's rule"});
}

TEST_CASE("matrices that cannot keep columns count, and keep none") {
  Scene scene(novella());
  scene.recipe.layers.push_back({"down_proj", false, "rtn", {{"bits", "8"}}});
  scene.recipe.budget.target_bits = 4.5;
  scene.recipe.options["bits"] = "3";
  scene.recipe.budget.shares = {{"q_proj", 0}, {"v_proj", 4}};
  const RunPlan plan = scene.plan();
  CHECK(plan.code_bits_per_weight <= 4.5);
  CHECK(plan.code_bits_per_weight > 4.49);
  for (const PlannedMatrix& planned : matrices_of(plan)) {
    const MatrixPlan& matrix = planned.matrix;
    const bool none = matrix.module.ends_with("down_proj") || matrix.module.ends_with("q_proj");
    CHECK((matrix.outlier_columns == 0) == none);
  }
}

TEST_CASE("a budget that cannot be is refused with what was wanted") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Scene scene(novella());
  for (const double target : {-1.0, 1.9, 17.0, nan}) {
    scene.recipe.budget.target_bits = target;
    scene.refused(Status::InvalidArgument, {"target_bits", "2 .. 16"});
  }
  scene.recipe.budget.target_bits = 3.01;  // scales and zeros of rows of 256 and 512 columns
  scene.refused(Status::InvalidArgument, {"3.01", "alone take 3.06"});
  scene.recipe.budget.target_bits = 4.01;
  scene.recipe.options["outlier_columns"] = "2";
  scene.refused(Status::InvalidArgument, {"q_proj", "outlier_columns=2", "4.01"});
  scene.recipe.options.erase("outlier_columns");
  scene.recipe.layers.push_back({"v_proj", false, {}, {{"outlier_columns", "0"}}});
  scene.refused(Status::InvalidArgument, {"v_proj", "outlier_columns=0"});
  scene.recipe.layers.clear();
  scene.recipe.budget.target_bits = 4.3;
  scene.recipe.format = "compressed-tensors";
  scene.refused(Status::Unsupported, {"compressed-tensors", "outlier"});
  scene.recipe.format = "dense";
  for (const double share : {-1.0, nan}) {
    scene.recipe.budget.shares = {{"q_proj", share}};
    scene.refused(Status::InvalidArgument, {"'q_proj'"});
  }
  scene.recipe.budget.shares.clear();
  scene.recipe.method = "rtn";
  scene.refused(Status::InvalidArgument, {"4.3", "outlier columns", "owq"});
  scene.recipe.budget = {.target_bits = 0, .rule = BudgetRule::Paper, .shares = {}};
  scene.refused(Status::InvalidArgument, {"without target_bits"});
}

TEST_CASE("a run keeps the columns of its plan, in every method that has them") {
  for (const char* method : {"owq", "gptq", "gptqt"}) {
    INFO(method);
    Scene scene(model_folder("llama_gqa"));
    scene.recipe.method = method;
    scene.recipe.options["bits"] = "3";
    scene.recipe.format = "auto";
    scene.recipe.budget.target_bits = 6;
    const RunPlan plan = scene.plan();
    const std::vector<PlannedMatrix> planned = matrices_of(plan);
    const RunReport report =
        quantize_model(Context<Cpu>(2), model_folder("llama_gqa"), scene.folder / "out", scene.recipe);
    REQUIRE(report.layers.size() == planned.size());
    double bits = 0;
    for (std::size_t i = 0; i < planned.size(); ++i) {
      const LayerReport& layer = report.layers[i];
      CHECK(layer.outlier_columns == planned[i].matrix.outlier_columns);
      CHECK(layer.code_bits_per_weight == planned[i].code_bits_per_weight());
      bits += layer.code_bits_per_weight * static_cast<double>(layer.rows * layer.cols);
      CHECK(parse_layer(layer_json(layer)).outlier_columns == layer.outlier_columns);
    }
    CHECK(report.code_bits_per_weight == Approx(bits / static_cast<double>(plan.weights)));
    CHECK(report.code_bits_per_weight <= 6);
    CHECK(report.code_bits_per_weight > 5);
    if (report.format != "dense") CHECK(report.bits_per_weight <= 6);
  }
}
