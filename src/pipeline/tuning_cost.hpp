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

/// What the tuner holds of a matrix: of every trained number its value, gradient, best value and moments; codes, and
/// with SignRound the original weights; of every group the grid that it started from and the present one, of a
/// binary-coded one also the table of what codes decode to.
inline Index trained_bytes(const TuneOptions& tune, const MatrixPlan& matrix) {
  const int moments = tune.optimiser == OptimiserKind::SignSgd ? 0 : tune.momentum > 0 ? 2 : 1;
  const Index number = 4 * (3 + moments), elements = matrix.rows * matrix.cols;
  const Index width = matrix.grid.group_size > 0 ? std::min<Index>(matrix.grid.group_size, matrix.cols) : matrix.cols;
  const Index groups = matrix.rows * ((matrix.cols + width - 1) / width);
  const bool latent = tune.trainable != TrainableKind::Scales, rounds = tune.trainable == TrainableKind::SignRound;
  const int bits = matrix.grid.bits, grid = matrix.binary_coded                       ? bits + 1
                                            : tune.trainable == TrainableKind::Latent ? 1
                                                                                      : 2;
  const Index group = grid * (number + 8) + (matrix.binary_coded ? 5 * (Index{1} << bits) + bits + 4 : 0);
  return elements * ((latent ? number : 0) + (rounds ? 4 : 0) + (latent ? 1 : 2)) + groups * group;
}

/// What the tuner holds beside the blocks' weights: the chain's numbers of a batch, its hidden states, and what is
/// trained.
template <class Backend>
Index tuning_bytes(const BlockChain<float, Backend>& chain, const Model& model, const RunPlan& plan,
                   const TuneWindow& window) {
  Index bytes = chain.bytes(batch_tokens(plan)) + 16 * hidden_width(model, window) * batch_tokens(plan);
  for (Index block = window.first; block < window.last; ++block)
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
      for (const PlannedMatrix& planned : stage.matrices) bytes += trained_bytes(plan.tune, planned.matrix);
  return bytes;
}

}  // namespace halftone
