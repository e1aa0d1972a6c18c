// Runs a block program forward: any run of its operations, on any number of whole windows.
#pragma once

#include <span>
#include <vector>

#include "halftone/backend/cpu.hpp"
#include "halftone/backend/linear_algebra.hpp"
#include "halftone/backend/nn.hpp"
#include "halftone/model/block_program.hpp"

namespace halftone {

/// The weights of one block where the backend computes, in the order of its program. A caller may replace any of them.
template <class S = float, class Backend = Cpu>
struct BlockWeights {
  using Matrix = typename Backend::template Matrix<S>;
  using Half = typename Backend::template Matrix<BFloat16>;
  std::vector<Matrix> linears;     ///< [rows, cols], or empty where it is one of `halves`
  std::vector<Matrix> biases;      ///< [1, rows], or empty where the linear has none
  std::vector<Matrix> parameters;  ///< [1, width], offset already added
  std::vector<Half> halves;        ///< by the index of linears: those held in bfloat16 [rows, cols], the others empty;
                                   ///< may have no elements: none is

  bool is_half(std::size_t linear) const { return linear < halves.size() && !halves[linear].empty(); }
};

/// A copy in the backend's memory.
template <class S, class Backend>
BlockWeights<S, Backend> copy(const Context<Backend>& context, const BlockWeights<S, Backend>& weights) {
  BlockWeights<S, Backend> copied;
  const auto each = [&](const auto& from, auto& to) {
    for (const auto& matrix : from) to.push_back(context.copy(matrix.view()));
  };
  each(weights.linears, copied.linears);
  each(weights.biases, copied.biases);
  each(weights.parameters, copied.parameters);
  each(weights.halves, copied.halves);
  return copied;
}

/// The input of a linear, rounded to bfloat16 once for all linears that read it.
template <class Backend>
struct RoundedInput {
  Operand operand{-1, 0, 0};                           ///< what it was rounded from; slot −1: nothing
  typename Backend::template Matrix<BFloat16> values;  ///< [tokens or more, the operand's width]
};

/// Executes operations of one program. Same bytes for any number of threads, and whether a block is run at once or in
/// parts, as long as the chunks are the same.
template <class S = float, class Backend = Cpu>
class BlockRunner {
 public:
  using Half = typename Backend::template Matrix<BFloat16>;

  /// `context` and `program` must outlive the runner. `length`: tokens of a window.
  BlockRunner(const Context<Backend>& context, const BlockProgram& program, Index length);

  /// The linears of which `halves` holds a rounded form multiply that by their input rounded to bfloat16, sums in
  /// float, from now on; those that the weights hold in bfloat16 always do so. By index as in BlockWeights, each
  /// [rows, cols] or empty. Must live as long as the runner uses it. For float.
  void multiply_halves(std::span<const Half> halves) { halves_ = halves; }

  /// Runs ops [first, last) on a chunk. `slots`: a view for every slot of the program, each [windows · length, width]
  /// or without data. A slot without data is scratch of the runner, undefined afterwards: every slot that is live at
  /// `first` or that is wanted at `last` must have data. Throws Status::ShapeMismatch.
  void run(Index first, Index last, const BlockWeights<S, Backend>& weights, std::span<const MatrixView<S>> slots);

  const BlockProgram& program() const { return *program_; }
  Index length() const { return length_; }

 private:
  const Context<Backend>* context_;
  const BlockProgram* program_;
  Index length_;
  RotaryTable<S, Backend> rotary_;
  std::vector<typename Backend::template Matrix<S>> scratch_;  // by slot
  std::span<const Half> halves_;                               // empty: none
  RoundedInput<Backend> rounded_;
};

}  // namespace halftone
