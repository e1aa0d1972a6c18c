// Recipes: JSON in and out, unknown keys, rules.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "halftone/pipeline/recipe.hpp"
#include "pipeline/module_rules.hpp"

using namespace halftone;
using namespace halftone::test;
using nlohmann::json;

namespace {

constexpr const char* full_recipe = R"({
  "method": "gptq",
  "options": {"bits": 3, "damping": 0.02, "act_order": true, "grid": "hessian"},
  "layers": [
    {"match": "\\.0\\.", "keep": true},
    {"match": "down_proj$", "options": {"bits": 4}},
    {"match": "v_proj", "method": "rtn", "options": {"group_size": 32}}
  ],
  "format": "gptq",
  "calibration": {"file": "text.jsonl", "windows": 16, "window_length": 64, "seed": 7},
  "target_bits": 3.25,
  "budget": "paper",
  "budget_shares": {"down_proj": 0.5, "self_attn.q_proj": 2},
  "compute": "bf16"
})";

}  // namespace

TEST_CASE("a recipe survives being written and read") {
  const Recipe recipe = parse_recipe(full_recipe, "recipe");
  CHECK(recipe.options.at("bits") == "3");
  CHECK(recipe.options.at("act_order") == "true");
  CHECK(recipe.layers.size() == 3);
  CHECK(recipe.calibration.windows.seed == 7);
  CHECK(recipe.budget.target_bits == 3.25);
  CHECK(recipe.budget.rule == BudgetRule::Paper);
  CHECK(recipe.compute == Compute::BFloat16);
  CHECK(recipe.budget.shares.at("self_attn.q_proj") == 2);
  const json canonical = recipe_json(recipe);
  CHECK(canonical == json::parse(full_recipe));
  CHECK(recipe_json(parse_recipe(canonical.dump(), "again")) == canonical);
}

TEST_CASE("a recipe is laid over another one") {
  const Recipe base = parse_recipe(full_recipe, "recipe");
  const Recipe recipe = parse_recipe(R"({"options": {"bits": 2}, "calibration": {"windows": 8}})", "recipe", base);
  CHECK(recipe.budget.target_bits == 3.25);
  CHECK(parse_recipe(R"({"budget_shares": {"o_proj": 3}})", "recipe", base).budget.shares.size() == 3);
  CHECK(recipe.options.at("bits") == "2");
  CHECK(recipe.options.at("damping") == "0.02");
  CHECK(recipe.calibration.windows.windows == 8);
  CHECK(recipe.calibration.windows.length == 64);
  CHECK(recipe.layers.size() == 3);
}

TEST_CASE("a recipe that is wrong is refused with the path of the key") {
  const auto refused = [](const char* text, std::initializer_list<std::string_view> words) {
    expect_error(Status::InvalidData, words, [&] { parse_recipe(text, "recipe r.json"); });
  };
  refused("{", {"r.json", "JSON"});
  refused("[]", {"array", "object"});
  refused(R"({"metod": "gptq"})", {"/metod", "method"});
  refused(R"({"method": 3})", {"/method", "3", "string"});
  refused(R"({"options": {"bits": [3]}})", {"/options/bits", "[3]"});
  refused(R"({"layers": [{"match": "a"}, {"mach": "b"}]})", {"/layers/1/mach", "match"});
  refused(R"({"layers": [{"options": {}}]})", {"/layers/0", "match"});
  refused(R"({"layers": [{"match": "a", "keep": true, "method": "rtn"}]})", {"/layers/0", "keep"});
  refused(R"({"layers": {}})", {"/layers", "array"});
  refused(R"({"calibration": {"window": 3}})", {"/calibration/window", "window_length"});
  refused(R"({"calibration": {"windows": 3.5}})", {"/calibration/windows", "3.5"});
  refused(R"({"calibration": {"seed": -1}})", {"/calibration/seed", "-1"});
  refused(R"({"target_bits": "3.01"})", {"/target_bits", "3.01", "number"});
  refused(R"({"budget": "papre"})", {"/budget", "papre", "honest"});
  refused(R"({"budget_shares": [1]})", {"/budget_shares", "object"});
  refused(R"({"budget_shares": {"a": "b"}})", {"/budget_shares/a", "number"});
  refused(R"({"method": "gptq", "method": "rtn"})", {"method", "twice"});
  expect_error(Status::NotFound, {"none.json"}, [] { load_recipe("/none.json"); });
}

TEST_CASE("the first rule that matches a module decides") {
  const Recipe recipe = parse_recipe(full_recipe, "recipe");
  ModuleRules rules(recipe);
  CHECK_FALSE(rules.choose("model.layers.0.mlp.down_proj").has_value());
  const auto down = rules.choose("model.layers.1.mlp.down_proj");
  REQUIRE(down.has_value());
  CHECK(down->method == "gptq");
  CHECK(down->options.at("bits") == "4");
  CHECK(down->options.at("damping") == "0.02");
  CHECK(rules.unused() == std::vector<std::string>{"v_proj"});
  const auto v = rules.choose("model.layers.1.self_attn.v_proj");
  REQUIRE(v.has_value());
  CHECK(v->method == "rtn");
  CHECK(v->options.at("bits") == "3");  // the recipe's, which RTN knows
  CHECK(v->options.at("group_size") == "32");
  CHECK(v->options.count("damping") == 0);  // RTN knows no damping
  CHECK(rules.choose("model.layers.1.self_attn.q_proj")->options == recipe.options);
  CHECK(rules.unused().empty());
}

TEST_CASE("a rule that is no regular expression, or one that never ends, is refused") {
  expect_error(Status::InvalidArgument, {"(", "character"}, [] { ModulePattern("a(b"); });
  const ModulePattern slow("(a+)+$");
  expect_error(Status::InvalidArgument, {"(a+)+$"}, [&] { (void)slow.matches(std::string(64, 'a') + "b"); });
  Recipe recipe;
  recipe.layers.push_back({"x", false, "gptx", {}});
  expect_error(Status::NotFound, {"gptx", "gptq"}, [&] { ModuleRules rules(recipe); });
}
