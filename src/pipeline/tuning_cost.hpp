// What a window of tuning takes of a backend's memory, and its chain of blocks.
#pragma once

#include <algorithm>  // min
#include <utility>    // move

#include "halftone/model/block_chain.hpp"
#include "halftone/model/model.hpp"
#include "halftone/pipeline/plan.hpp"

namespace halftone {

/// Tokens of a step.
inline Index batch_tokens(const RunPlan& plan) { return std::min<Index>(plan.tune.batch, plan.windows) * plan.length; }

/// A window of blocks with those behind it, as the tuner runs them, without their weights.
template <class Backend>
BlockChain<float, Backend> tuned_chain(const Context<Backend>& context, const Model& model, const RunPlan& plan,
                                       const TuneWindow& window) {
  std::vector<typename BlockChain<float, Backend>::Link> links;
  for (Index block = window.first; block < window.until; ++block) {
    const BlockProgram& program = model.program(block);
    std::vector<bool> trained(program.linears.size());
    if (block < window.last)
      for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
        for (const PlannedMatrix& planned : stage.matrices) trained[static_cast<std::size_t>(planned.linear)] = true;
    links.push_back({&program, nullptr, std::move(trained)});
  }
  return BlockChain<float, Backend>(context, std::move(links), plan.length);
}

/// Numbers of a token's hidden state behind a window.
inline Index hidden_width(const Model& model, const TuneWindow& window) {
  const BlockProgram& last = model.program(window.until - 1);
  return last.slot_widths[static_cast<std::size_t>(last.output)];
}

/// What the tuner holds beside the blocks' weights: the chain's numbers of a batch, its hidden states, and of every
/// trained weight its latent number, gradient, both moments, code and original.
template <class Backend>
Index tuning_bytes(const BlockChain<float, Backend>& chain, const Model& model, const RunPlan& plan,
                   const TuneWindow& window) {
  Index bytes = chain.bytes(batch_tokens(plan)) + 16 * hidden_width(model, window) * batch_tokens(plan);
  for (Index block = window.first; block < window.last; ++block)
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
      for (const PlannedMatrix& planned : stage.matrices) bytes += 22 * planned.matrix.rows * planned.matrix.cols;
  return bytes;
}

}  // namespace halftone
