#include <set>

#include "halftone/model/block_program.hpp"
#include "halftone/model/stream.hpp"
#include "model/fixture.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

BlockProgram program_of(const std::string& fixture, Index block = 0) {
  return build_block_program(read_model_config(read_json(model_folder(fixture) / "config.json")), block);
}

std::vector<std::string> modules(const BlockProgram& program, const Stage& stage) {
  std::vector<std::string> names;
  for (const int linear : stage.linears) {
    const std::string& module = program.linears[static_cast<std::size_t>(linear)].module;
    names.push_back(module.substr(module.find(".0.") + 3));
  }
  return names;
}

}  // namespace

TEST_CASE("every column of a slot is written once, before it is read") {
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const BlockProgram program = program_of(name);
    std::set<std::pair<int, Index>> written;
    for (Index c = 0; c < program.slot_widths[0]; ++c) written.insert({program.input, c});
    for (const Op& op : program.ops) {
      for (const Operand& in : operands_read(op))
        for (Index c = in.column; c < in.column + in.width; ++c) REQUIRE(written.contains({in.slot, c}));
      const Operand out = operand_written(op);
      for (Index c = out.column; c < out.column + out.width; ++c) REQUIRE(written.insert({out.slot, c}).second);
    }
    for (int slot = 0; slot < static_cast<int>(program.slots()); ++slot)
      for (Index c = 0; c < program.slot_widths[static_cast<std::size_t>(slot)]; ++c)
        REQUIRE(written.contains({slot, c}));
  }
}

TEST_CASE("stages are the matrices that read the same input") {
  using Names = std::vector<std::string>;
  const auto stages = [](const std::string& fixture) {
    const BlockProgram program = program_of(fixture);
    std::vector<Names> all;
    for (const Stage& stage : program.stages) all.push_back(modules(program, stage));
    return all;
  };
  const std::vector<Names> separate{{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},
                                    {"self_attn.o_proj"},
                                    {"mlp.gate_proj", "mlp.up_proj"},
                                    {"mlp.down_proj"}};
  for (const char* name : {"llama_gqa", "qwen2_bias_tied", "qwen3_qk_norm", "gemma2"}) CHECK(stages(name) == separate);
  CHECK(stages("phi3_fused") ==
        std::vector<Names>{{"self_attn.qkv_proj"}, {"self_attn.o_proj"}, {"mlp.gate_up_proj"}, {"mlp.down_proj"}});
  CHECK(stages("timm_eva02_base") ==
        std::vector<Names>{
            {"attn.q_proj", "attn.k_proj", "attn.v_proj"}, {"attn.proj"}, {"mlp.fc1_g", "mlp.fc1_x"}, {"mlp.fc2"}});
  CHECK(stages("timm_eva02_tiny") == std::vector<Names>{{"attn.qkv"}, {"attn.proj"}, {"mlp.fc1"}, {"mlp.fc2"}});
  for (const char* name : {"opt", "opt_postnorm"})
    CHECK(stages(name) ==
          std::vector<Names>{
              {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, {"self_attn.out_proj"}, {"fc1"}, {"fc2"}});
}

TEST_CASE("between stages little is live: the residual stream and the stage's input") {
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const BlockProgram program = program_of(name);
    CHECK(live_slots(program, 0) == std::vector<int>{program.input});
    CHECK(live_slots(program, program.size()) == std::vector<int>{program.output});
    for (const Stage& stage : program.stages) {
      const auto live = live_slots(program, stage.first_op);
      CHECK(live.size() <= 2);
      CHECK(std::count(live.begin(), live.end(), stage.input.slot) == 1);
    }
  }
}

TEST_CASE("a slot takes a dying one's place, and nothing is read from a place that was written over") {
  for (const std::string& name : all_fixtures()) {
    INFO(name);
    const BlockProgram program = program_of(name);
    std::vector<Index> stops{0};
    for (const Stage& stage : program.stages) stops.push_back(stage.first_op);
    stops.push_back(program.size());
    Index shared = 0;
    for (std::size_t s = 0; s + 1 < stops.size(); ++s) {
      const auto before = live_slots(program, stops[s]), after = live_slots(program, stops[s + 1]);
      const auto taken = places_taken(program, stops[s], stops[s + 1]);
      const auto place = [&](int slot) {
        return taken[static_cast<std::size_t>(slot)] < 0 ? slot : taken[static_cast<std::size_t>(slot)];
      };
      std::vector<int> holds(program.slot_widths.size(), -1);  // by place: the slot whose numbers are there
      for (const int slot : before) {
        CHECK(place(slot) == slot);
        holds[static_cast<std::size_t>(slot)] = slot;
      }
      for (const int slot : after) {
        CHECK(program.slot_widths[static_cast<std::size_t>(slot)] ==
              program.slot_widths[static_cast<std::size_t>(place(slot))]);
        shared += place(slot) != slot;
      }
      for (Index i = stops[s]; i < stops[s + 1]; ++i) {
        const Op& op = program.ops[static_cast<std::size_t>(i)];
        const Operand out = operand_written(op);
        for (const Operand& in : operands_read(op)) {
          CHECK(holds[static_cast<std::size_t>(place(in.slot))] == in.slot);
          const bool same_place = in.column == out.column && in.width == out.width;
          if (place(in.slot) == place(out.slot) && in.slot != out.slot)
            CHECK((std::holds_alternative<AddOp>(op) && same_place));
        }
        holds[static_cast<std::size_t>(place(out.slot))] = out.slot;
      }
      for (const int slot : after) CHECK(holds[static_cast<std::size_t>(place(slot))] == slot);
    }
    CHECK(shared >= 2);  // attention over its input, the residual stream over itself
  }
}

TEST_CASE("fused and separate projections are the same slots") {
  const BlockProgram fused = program_of("phi3_fused");
  const auto& linear = std::get<LinearOp>(fused.ops[static_cast<std::size_t>(fused.stages[0].first_op)]);
  CHECK(linear.out.width == 4 * 12 + 2 * 2 * 12);
  for (const Op& op : fused.ops) {
    if (const auto* attention = std::get_if<AttentionOp>(&op)) {
      CHECK(attention->v.slot == linear.out.slot);
      CHECK(attention->v.column == 4 * 12 + 2 * 12);
      CHECK(attention->v.width == 2 * 12);
    }
    if (const auto* gate = std::get_if<GateOp>(&op)) {
      CHECK(gate->gate == Operand{gate->up.slot, 0, 88});
      CHECK(gate->up.column == 88);
    }
  }
}

TEST_CASE("linear layers with inputs of their own are stages of their own") {
  const Operand x{0, 0, 4}, left{0, 0, 2}, a{1, 0, 4}, b{2, 0, 4};
  const std::vector<Op> ops{LinearOp{0, x, a}, LinearOp{1, x, b}, LinearOp{2, left, b}, AddOp{a, b, a},
                            LinearOp{3, left, b}};
  const auto stages = find_stages(ops);
  REQUIRE(stages.size() == 3);
  CHECK(stages[0].linears == std::vector<int>{0, 1});
  CHECK(stages[1].input == left);
  CHECK(stages[2].first_op == 4);
  CHECK(find_stages({}).empty());
}

TEST_CASE("blocks are numbered, and may differ in their windows") {
  const BlockProgram first = program_of("gemma2", 0), second = program_of("gemma2", 1);
  CHECK(first.linears[0].module == "model.layers.0.self_attn.q_proj");
  CHECK(second.linears[0].module == "model.layers.1.self_attn.q_proj");
  const auto window = [](const BlockProgram& program) {
    for (const Op& op : program.ops)
      if (const auto* attention = std::get_if<AttentionOp>(&op)) return attention->window;
    return Index{-1};
  };
  CHECK(window(first) == 7);
  CHECK(window(second) == 0);
}
