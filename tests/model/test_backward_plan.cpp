#include <algorithm>
#include <set>

#include "finite_differences.hpp"
#include "halftone/model/backward.hpp"
#include "model/fixture.hpp"
#include "random_matrix.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

BlockProgram program_of(const std::string& fixture) {
  return build_block_program(read_model_config(read_json(model_folder(fixture) / "config.json")), 0);
}

WantedGradients all_of(const BlockProgram& program, bool input) {
  return {std::vector<bool>(program.linears.size(), true), input};
}

/// Checks that no two slots share a buffer while both are needed, given the steps at which each is.
struct Life {
  Index first, last;
};
void require_apart(const BufferPlan& plan, const std::vector<Life>& lives, const BlockProgram& program) {
  for (std::size_t a = 0; a < lives.size(); ++a) {
    if (plan.of_slot[a] < 0) continue;
    REQUIRE(plan.widths[static_cast<std::size_t>(plan.of_slot[a])] >= program.slot_widths[a]);
    for (std::size_t b = 0; b < a; ++b)
      if (plan.of_slot[a] == plan.of_slot[b])
        REQUIRE((lives[a].last < lives[b].first || lives[b].last < lives[a].first));
  }
}

}  // namespace

TEST_CASE("slots that share a buffer do not live at the same time") {
  for (const std::string& name : all_fixtures())
    for (const bool frozen : {false, true}) {
      INFO(name << (frozen ? ", frozen" : ""));
      const BlockProgram program = program_of(name);
      const BackwardPlan plan = plan_backward(program, frozen ? WantedGradients{} : all_of(program, true));
      std::vector<Life> values(program.slot_widths.size(), {program.size(), -1}), gradients = values;
      const auto touch = [](std::vector<Life>& lives, int slot, Index at) {
        Life& life = lives[static_cast<std::size_t>(slot)];
        life = {std::min(life.first, at), std::max(life.last, at)};
      };
      for (Index at = 0; at < program.size(); ++at) {
        const Op& op = program.ops[static_cast<std::size_t>(at)];
        touch(values, operand_written(op).slot, at);
        for (const Operand& in : operands_read(op)) touch(values, in.slot, at);
      }
      for (const int slot : plan.saved) touch(values, slot, program.size());
      require_apart(plan.values, values, program);
      touch(gradients, program.output, 0);
      for (std::size_t i = 0; i < plan.steps.size(); ++i) {
        const Op& op = program.ops[static_cast<std::size_t>(plan.steps[i].op)];
        touch(gradients, operand_written(op).slot, static_cast<Index>(i));
        for (const Operand& in : operands_read(op)) touch(gradients, in.slot, static_cast<Index>(i));
      }
      require_apart(plan.gradients, gradients, program);
      CHECK(plan.gradients.of_slot[static_cast<std::size_t>(program.input)] == -1);
      CHECK(plan.gradients.width() < std::accumulate(program.slot_widths.begin(), program.slot_widths.end(), Index{0}));
    }
}

TEST_CASE("what is wanted decides what is kept and what runs") {
  const BlockProgram program = program_of("llama_gqa");  // d = 64, f = 88, q 64, k and v 32 each
  const auto linear_steps = [&](const BackwardPlan& plan) {
    std::vector<int> inputs;
    for (const BackwardStep& step : plan.steps)
      if (std::holds_alternative<LinearOp>(program.ops[static_cast<std::size_t>(step.op)]))
        inputs.push_back(step.inputs[0].wanted + 2 * step.weight);
    return inputs;
  };
  using Steps = std::vector<int>;  // 1: dX, 2: dW
  CHECK(linear_steps(plan_backward(program, all_of(program, true))) == Steps{3, 3, 3, 3, 3, 3, 3});
  CHECK(linear_steps(plan_backward(program, all_of(program, false))) == Steps{3, 3, 3, 3, 2, 2, 2});
  CHECK(linear_steps(plan_backward(program, {})) == Steps(7, 1));
  CHECK(plan_backward(program, {{}, false}).steps.empty());
  WantedGradients down{std::vector<bool>(7, false), false};
  down.linears[6] = true;
  const BackwardPlan plan = plan_backward(program, down);
  CHECK(linear_steps(plan) == Steps{2});
  CHECK(plan.steps.size() == 2);  // the sum and the matrix
  CHECK(plan.saved.size() == 1);

  const auto frozen = plan_backward(program, {}), trained = plan_backward(program, all_of(program, true));
  const auto width = [&](const BackwardPlan& p) {
    Index sum = 0;
    for (const int slot : p.saved) sum += program.slot_widths[static_cast<std::size_t>(slot)];
    return sum;
  };
  CHECK(width(frozen) == 64 + (64 + 32) + (64 + 2 * 32) + 64 + 2 * 88);  // x, q and k turned, q k v, y1, gate and up
  CHECK(width(trained) == width(frozen) + 64 + 64 + 64 + 88);            // two norms, what o and down read
}

TEST_CASE("bytes and flops are those of the shapes") {
  const BlockProgram program = program_of("llama_gqa");
  const auto plan = plan_backward(program, all_of(program, true));
  const auto bytes = backward_bytes(Context<Cpu>(2), program, plan, 220, 11);
  const Index weights = 64 * (64 + 32 + 32 + 64 + 3 * 88);
  CHECK(bytes.weights == 4 * weights);
  CHECK(bytes.values == 4 * 220 * plan.values.width());
  CHECK(bytes.gradients == 4 * 220 * plan.gradients.width());
  CHECK(bytes.attention == 2 * 4 * detail::attention_gradient_scratch<float>(11, 16));
  const auto flops = block_flops(program, plan, 220, 11);
  const double products = 2.0 * 220 * static_cast<double>(weights), attention = 4.0 * 64 * 20 * (11 * 12 / 2);
  CHECK(flops.forward == products + attention);
  CHECK(flops.backward == 2 * products + 2.5 * attention);
  CHECK(block_flops(program, plan_backward(program, {}), 220, 11).backward == products + 2.5 * attention);
}

TEST_CASE("columns that are read twice, or never, or in pieces") {
  // x -> two linears; a column of x is read by both, one by neither; the product of one is not read at all.
  BlockProgram program;
  program.slot_widths = {6, 6, 4, 6};
  program.input = 0;
  program.output = 3;
  const Operand x{0, 0, 6}, wide{1, 0, 6}, left{1, 0, 4}, right{1, 3, 2}, unread{2, 0, 4};
  program.linears = {{"a", 6, 6, false}, {"b", 4, 4, false}, {"c", 4, 4, false}, {"d", 2, 2, false}};
  program.ops = {LinearOp{0, x, wide}, LinearOp{1, left, unread}, LinearOp{2, left, {3, 0, 4}},
                 LinearOp{3, right, {3, 4, 2}}};
  program.stages = find_stages(program.ops);
  const Context<Cpu> context(1);
  BlockWeights<double> weights;
  for (const LinearInfo& info : program.linears) {
    weights.linears.push_back(random_matrix<double>(info.rows, info.cols, static_cast<std::uint64_t>(info.rows)));
    weights.biases.emplace_back();
  }
  auto input = random_matrix<double>(3, 6, 9);
  const auto d_output = random_matrix<double>(3, 6, 10);
  Matrix<double> output(3, 6), d_input(3, 6), middle(3, 6), other(3, 4);
  const std::vector<MatrixView<double>> slots{input, middle, other, output};
  BlockRunner<double> forward(context, program, 1);
  const auto loss = [&] {
    forward.run(0, 4, weights, slots);
    return product_sum(output, d_output);
  };
  loss();
  LinearGradients<double> gradients;
  Buffers<double> buffers;
  BackwardRunner<double>(context, program, 1, {{true, true, true, true}, true})
      .run(weights, slots, d_output, buffers, gradients, false, d_input);
  CHECK(gradient_error(input, d_input, loss) < 1e-8);
  for (std::size_t i = 0; i < 4; ++i) CHECK(gradient_error(weights.linears[i], gradients[i], loss) < 1e-8);
  CHECK(gradients[1] == Matrix<double>(4, 4, 0.0));
}
