// What the backward pass of one block does, derived from its program and from which gradients are wanted: which
// operations run backward, what they read of the forward pass, where every number lives, and what that costs.
//
// Gradients of a slot's columns are the sum of what every operation that reads them hands back. Slots share buffers
// where they do not live at the same time.
#pragma once

#include <vector>

#include "halftone/backend/context.hpp"
#include "halftone/model/block_program.hpp"

namespace halftone {

/// The gradients that are wanted of one block. A frozen block, which only hands a gradient on, wants its input's alone.
struct WantedGradients {
  std::vector<bool> linears;  ///< by linear of the program; shorter: the rest are not wanted
  bool input = true;
};

/// One operation, run backward.
struct BackwardStep {
  struct Input {
    bool wanted = false, add = false;  ///< add: to the gradients that are there
  };
  Index op = 0;
  std::vector<Input> inputs;  ///< of the operands, in the order of operands_read
  bool weight = false;        ///< a linear's own gradient is wanted
  std::vector<int> cleared;   ///< slots whose gradients become 0 first
};

/// Slots -> buffers [tokens, width].
struct BufferPlan {
  std::vector<int> of_slot;   ///< −1: none
  std::vector<Index> widths;  ///< by buffer

  Index width() const;  ///< numbers per token in all buffers
};

struct BackwardPlan {
  std::vector<BackwardStep> steps;  ///< in the order in which they run
  std::vector<int> saved;           ///< slots that the steps read, ascending; the rest may be written over
  BufferPlan values;                ///< of a forward pass for these steps; not the block's input and output
  BufferPlan gradients;             ///< not the block's input
};

/// Throws Status::InvalidArgument for more wanted linears than the program has.
BackwardPlan plan_backward(const BlockProgram& program, const WantedGradients& wanted);

/// Bytes in float. Values are kept between a block's forward and backward pass; the rest is shared by all blocks that
/// run one after the other. Hidden states at the blocks' ends and their gradients, tokens · width each, are not
/// counted.
struct BackwardBytes {
  Index values = 0;
  Index gradients = 0;
  Index attention = 0;  ///< what attention_backward allocates
  Index weights = 0;    ///< gradients of the wanted linears
};
template <class Backend>
BackwardBytes backward_bytes(const Context<Backend>& context, const BlockProgram& program, const BackwardPlan& plan,
                             Index tokens, Index length);

/// Multiplications and additions of the products: 2 · rows · cols per token and linear, the same again for its input's
/// and for its weight's gradient; attention 4 · head_dim per query head, query and visible key, and 10 backward.
struct BlockFlops {
  double forward = 0, backward = 0;
};
BlockFlops block_flops(const BlockProgram& program, const BackwardPlan& plan, Index tokens, Index length);

}  // namespace halftone
