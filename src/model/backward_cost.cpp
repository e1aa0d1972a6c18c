// What a backward pass costs in flops, from the plan alone.
#include <algorithm>  // min

#include "halftone/model/backward_plan.hpp"

namespace halftone {
namespace {

/// Pairs of a query and a key that it sees, in one window.
double visible_pairs(const AttentionOp& op, Index length) {
  double pairs = 0;
  for (Index query = 0; query < length; ++query) {
    const Index behind = op.window > 0 ? std::min(op.window, query + 1) : query + 1;
    const Index ahead = op.causal ? 0 : std::min(op.window > 0 ? op.window - 1 : length, length - 1 - query);
    pairs += static_cast<double>(behind + ahead);
  }
  return pairs;
}

}  // namespace

BlockFlops block_flops(const BlockProgram& program, const BackwardPlan& plan, Index tokens, Index length) {
  const auto flops_of = [&](const Op& op) {  // of the forward pass
    if (const auto* linear = std::get_if<LinearOp>(&op))
      return 2.0 * static_cast<double>(tokens) * static_cast<double>(linear->in.width * linear->out.width);
    if (const auto* attention = std::get_if<AttentionOp>(&op))
      return 4.0 * static_cast<double>(tokens / length) * visible_pairs(*attention, length) *
             static_cast<double>(attention->q.width);
    return 0.0;
  };
  BlockFlops flops;
  for (const Op& op : program.ops) flops.forward += flops_of(op);
  for (const BackwardStep& step : plan.steps) {
    const Op& op = program.ops[static_cast<std::size_t>(step.op)];
    if (std::holds_alternative<AttentionOp>(op))
      flops.backward += 2.5 * flops_of(op);
    else
      flops.backward += flops_of(op) * ((step.weight ? 1 : 0) + (step.inputs[0].wanted ? 1 : 0));
  }
  return flops;
}

}  // namespace halftone
