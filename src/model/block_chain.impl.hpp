// The bodies of block_chain.hpp, which each backend compiles once.
#pragma once

#include <algorithm>  // find, max
#include <numeric>    // accumulate
#include <utility>    // move

#include "halftone/model/block_chain.hpp"

namespace halftone {
namespace detail {

inline Index width_of(const BlockProgram& program, int slot) {
  return program.slot_widths[static_cast<std::size_t>(slot)];
}

/// What buffers become that several plans share.
inline void widen(std::vector<Index>& widths, const BufferPlan& plan) {
  widths.resize(std::max(widths.size(), plan.widths.size()), 0);
  for (std::size_t i = 0; i < plan.widths.size(); ++i) widths[i] = std::max(widths[i], plan.widths[i]);
}

inline Index sum(const std::vector<Index>& widths) { return std::accumulate(widths.begin(), widths.end(), Index{0}); }

inline bool any(const std::vector<bool>& flags) { return std::find(flags.begin(), flags.end(), true) != flags.end(); }

}  // namespace detail

template <class S, class Backend>
BlockChain<S, Backend>::BlockChain(const Context<Backend>& context, std::vector<Link> links, Index length,
                                   ChainMemory keep, bool input_wanted)
    : context_(&context), links_(std::move(links)), length_(length), keep_(keep) {
  require(!links_.empty(), Status::InvalidArgument, "block chain: got no blocks, wanted 1 or more");
  const Index width = detail::width_of(*links_[0].program, links_[0].program->input);
  bool wanted = input_wanted;  // of the block's input: something before it is trained, or the chain's own
  for (const Link& link : links_) {
    const BlockProgram& program = *link.program;
    const Index from = detail::width_of(program, program.input), to = detail::width_of(program, program.output);
    require(from == width && to == width, Status::ShapeMismatch, "block chain: a block has ", from, " columns, wanted ",
            width);
    blocks_.push_back({BlockRunner<S, Backend>(context, program, length),
                       BackwardRunner<S, Backend>(context, program, length, {link.trained, wanted}),
                       {},
                       {}});
    wanted = wanted || detail::any(link.trained);
  }
}

template <class S, class Backend>
std::vector<MatrixView<S>> BlockChain<S, Backend>::slots(std::size_t block) {
  const BlockProgram& program = *links_[block].program;
  Block& at = blocks_[block];
  auto& buffers = keep_ == ChainMemory::Values ? at.values : values_;
  auto views = buffers.views(*context_, program, at.backward.plan().values, at.input.rows());
  views[static_cast<std::size_t>(program.input)] = at.input;
  views[static_cast<std::size_t>(program.output)] = block + 1 < blocks_.size() ? blocks_[block + 1].input : output_;
  return views;
}

template <class S, class Backend>
void BlockChain<S, Backend>::run_forward(std::size_t block) {
  blocks_[block].forward.run(0, links_[block].program->size(), *links_[block].weights, slots(block));
  held_ = block;
}

template <class S, class Backend>
const typename BlockChain<S, Backend>::Matrix& BlockChain<S, Backend>::forward(MatrixView<const S> input) {
  ready_ = false;
  const Index width = detail::width_of(*links_[0].program, links_[0].program->input);
  require(input.cols == width && input.rows > 0 && input.rows % length_ == 0, Status::ShapeMismatch,
          "block chain: got ", input.rows, " x ", input.cols, ", wanted whole windows of ", length_, " tokens x ",
          width);
  for (std::size_t i = 1; i <= blocks_.size(); ++i) {
    Matrix& output = i < blocks_.size() ? blocks_[i].input : output_;
    if (output.rows() != input.rows) output = context_->template allocate<S>(input.rows, width);
  }
  blocks_[0].input = context_->template copy<S>(input);
  for (std::size_t i = 0; i < blocks_.size(); ++i) run_forward(i);
  ready_ = true;
  return output_;
}

template <class S, class Backend>
void BlockChain<S, Backend>::backward(MatrixView<const S> d_output, std::vector<LinearGradients<S, Backend>>& gradients,
                                      bool add) {
  require(ready_, Status::InvalidArgument, "block chain: asked for gradients without a forward pass before");
  require(d_output.rows == output_.rows() && d_output.cols == output_.cols(), Status::ShapeMismatch,
          "block chain: d_output is ", d_output.rows, " x ", d_output.cols, ", wanted ", output_.rows(), " x ",
          output_.cols());
  ready_ = false;  // running a block again writes over the values of the last one
  gradients.resize(blocks_.size());
  if (gradient_.rows() != d_output.rows) gradient_ = context_->template allocate<S>(d_output.rows, d_output.cols);
  for (std::size_t i = blocks_.size(); i-- > 0;) {
    if (blocks_[i].backward.plan().steps.empty()) break;  // nothing is wanted of it, nor of those before
    if (keep_ == ChainMemory::Inputs && held_ != i) run_forward(i);
    blocks_[i].backward.run(*links_[i].weights, slots(i), d_output, gradients_, gradients[i], add, gradient_);
    d_output = gradient_;
  }
}

template <class S, class Backend>
Index BlockChain<S, Backend>::bytes(Index tokens) const {
  constexpr Index number = sizeof(float);
  Index values = 0, attention = 0, weights = 0;
  std::vector<Index> shared_values, gradients;  // widths of the buffers
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const BackwardPlan& plan = blocks_[i].backward.plan();
    const BackwardBytes bytes = backward_bytes(*context_, *links_[i].program, plan, tokens, length_);
    values += bytes.values;
    attention = std::max(attention, bytes.attention);
    weights += bytes.weights;
    detail::widen(shared_values, plan.values);
    detail::widen(gradients, plan.gradients);
  }
  if (keep_ == ChainMemory::Inputs) values = checked_product(tokens, detail::sum(shared_values) * number);
  const Index shared = attention + checked_product(tokens, detail::sum(gradients) * number);
  const BlockProgram& program = *links_[0].program;
  const Index hidden = checked_product(tokens, detail::width_of(program, program.input) * number);
  return values + shared + weights + hidden * (blocks() + 2);
}

template <class S, class Backend>
BlockFlops BlockChain<S, Backend>::flops(Index tokens) const {
  BlockFlops all;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const BackwardPlan& plan = blocks_[i].backward.plan();
    const BlockFlops flops = block_flops(*links_[i].program, plan, tokens, length_);
    const bool again = keep_ == ChainMemory::Inputs && i + 1 < blocks_.size() && !plan.steps.empty();
    all.forward += flops.forward;
    all.backward += flops.backward + (again ? flops.forward : 0);
  }
  return all;
}

}  // namespace halftone
