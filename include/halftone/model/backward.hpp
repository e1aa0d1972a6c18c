// Runs a block program backward: from the gradient of a block's output to those of its linears and its input.
#pragma once

#include <span>
#include <vector>

#include "halftone/backend/nn_backward.hpp"
#include "halftone/model/backward_plan.hpp"
#include "halftone/model/executor.hpp"

namespace halftone {

/// Work space of a plan: a matrix for each buffer, kept from call to call and grown where it is too small.
template <class S = float, class Backend = Cpu>
class Buffers {
 public:
  /// Where the slots of `program` live, [rows, width], by slot; without data where the plan has no buffer.
  std::vector<MatrixView<S>> views(const Context<Backend>& context, const BlockProgram& program, const BufferPlan& plan,
                                   Index rows);

 private:
  std::vector<typename Backend::template Matrix<S>> buffers_;  // [1, numbers]
};

/// Gradients of a block's linears, in the order of the program: dW [rows, cols], empty where it is not wanted.
template <class S = float, class Backend = Cpu>
using LinearGradients = std::vector<typename Backend::template Matrix<S>>;

/// Executes a program's operations backward. Same bytes for any number of threads.
template <class S = float, class Backend = Cpu>
class BackwardRunner {
 public:
  /// `context` and `program` must outlive the runner. `length`: tokens of a window.
  BackwardRunner(const Context<Backend>& context, const BlockProgram& program, Index length,
                 const WantedGradients& wanted);

  /// Gradients of a number whose derivative by the block's output is d_output [tokens, width]. `values`: by slot, those
  /// of plan().saved as a forward pass with the same weights left them. dW of the wanted linears is written to
  /// `gradients`, which are allocated where they are empty, or added. d_input [tokens, width]: written, not looked at
  /// unless it is wanted; may be d_output. Throws Status::ShapeMismatch.
  void run(const BlockWeights<S, Backend>& weights, std::span<const MatrixView<S>> values, MatrixView<const S> d_output,
           Buffers<S, Backend>& buffers, LinearGradients<S, Backend>& gradients, bool add, MatrixView<S> d_input) const;

  const BlockProgram& program() const { return *program_; }
  const BackwardPlan& plan() const { return plan_; }

 private:
  const Context<Backend>* context_;
  const BlockProgram* program_;
  Index length_;
  bool input_wanted_;
  BackwardPlan plan_;
  RotaryTable<S, Backend> rotary_;
};

}  // namespace halftone
