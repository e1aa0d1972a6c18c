// Several blocks as one function that can be differentiated: a window of blocks that are trained together, and frozen
// ones behind it.
#pragma once

#include <vector>

#include "halftone/model/backward.hpp"

namespace halftone {

/// What a chain keeps of its forward pass.
enum class ChainMemory {
  Values,  ///< what the backward passes of all blocks read
  Inputs,  ///< the blocks' inputs; a block but the last is run forward again before it runs backward
};

/// Consecutive blocks as one function of their input and their weights. Same bytes for any number of threads, and
/// whatever is kept; the forward pass gives those of a stream with the same windows at once.
///
///   BlockChain<float> chain(context, {{&program_3, &weights_3, all}, {&program_4, &weights_4, none}}, length);
///   for each step:
///     ... the quantiser writes weights_3.linears ...
///     const Matrix<float>& y = chain.forward(x);
///     loss = squared_error<float>(context, y, target, weights, factor, dy);
///     chain.backward(dy, gradients);                  // gradients[0][linear] = dW
template <class S = float, class Backend = Cpu>
class BlockChain {
 public:
  using Matrix = typename Backend::template Matrix<S>;
  struct Link {
    const BlockProgram* program = nullptr;
    /// Null will do for bytes() and flops(). May change before a forward pass, not between it and its backward pass.
    const BlockWeights<S, Backend>* weights = nullptr;
    std::vector<bool> trained;  ///< linears whose gradients are wanted; shorter: the rest not
  };

  /// Context, programs and weights must outlive the chain. `input_wanted`: backward() finds the gradient of the chain's
  /// input too. Throws Status::InvalidArgument for no blocks, Status::ShapeMismatch for blocks of different widths.
  BlockChain(const Context<Backend>& context, std::vector<Link> links, Index length,
             ChainMemory keep = ChainMemory::Inputs, bool input_wanted = false);

  /// The last block's output [tokens, width], for whole windows `input` [tokens, width] where the backend computes, of
  /// which a copy is kept. The reference holds until the next call.
  const Matrix& forward(MatrixView<const S> input);
  /// After forward(): the gradients of every block's trained linears, by block, written or added, from the derivative
  /// by the output. Throws Status::InvalidArgument unless a forward pass was the call before.
  void backward(MatrixView<const S> d_output, std::vector<LinearGradients<S, Backend>>& gradients, bool add = false);
  /// After backward(), where it is wanted: the derivative by the input.
  const Matrix& input_gradient() const { return gradient_; }

  Index blocks() const { return static_cast<Index>(links_.size()); }
  /// Bytes in float of what the chain holds for `tokens` tokens, beside the weights: hidden states, values, gradients
  /// of slots and of trained linears.
  Index bytes(Index tokens) const;
  /// Flops of one forward() and backward(), repeated forward passes included.
  BlockFlops flops(Index tokens) const;

 private:
  struct Block {
    BlockRunner<S, Backend> forward;
    BackwardRunner<S, Backend> backward;
    Matrix input;
    Buffers<S, Backend> values;  // with ChainMemory::Values
  };
  /// Where all slots of a block live.
  std::vector<MatrixView<S>> slots(std::size_t block);
  void run_forward(std::size_t block);

  const Context<Backend>* context_;
  std::vector<Link> links_;
  Index length_;
  ChainMemory keep_;
  std::vector<Block> blocks_;
  Matrix output_, gradient_;
  Buffers<S, Backend> values_, gradients_;  // shared by all blocks
  std::size_t held_ = 0;                    // with ChainMemory::Inputs: the block whose values are in values_
  bool ready_ = false;                      // for a backward pass
};

}  // namespace halftone
