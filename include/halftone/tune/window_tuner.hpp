// Fine-tuning of one window of blocks (arXiv 2411.03934): the rounding and the grids of its matrices are trained by
// gradient until the window's output, or that of frozen blocks behind it, is nearest the full-precision model's.
//
//   repeat `steps` times:
//     draw `batch` windows of tokens
//     W of every trained matrix := what its trainable decodes to
//     y = blocks(input[batch])            trained blocks, then frozen ones with their original weights
//     loss = Σ g_j² (y − target)² / Σ g_j² target²        g: gain of the norm that reads the channel, or 1
//     gradients through the frozen blocks into the trained ones; one step of the optimiser
//   the best of regular looks at windows that are held out stays, the start included
//
// Input: quantised stream. Target: full-precision stream. Original weights are never overwritten by this: what is
// trained are copies (the public code's overlapping windows chase a reference that is quantised already).
//
// Work of a step: 2·N·M forward and 4·N·M backward for M tokens and N trained weights, 4·N·M for N frozen ones; with
// checkpoints 2·N·M more for every block but the last.
#pragma once

#include <functional>
#include <vector>

#include "halftone/model/block_chain.hpp"
#include "halftone/model/token_matrix.hpp"
#include "halftone/tune/options.hpp"

namespace halftone {

/// A matrix that is trained.
struct TunedMatrix {
  int linear = 0;                     ///< of the block's program
  MatrixView<const float> W;          ///< [out, in] original weights, in the backend's memory
  QuantizedMatrix* matrix = nullptr;  ///< in: the solver's, for W; out: the tuned one, or what came in
  int minimum_zero = 0;               ///< as in GridOptions
};

/// A block of the window or behind it.
template <class Backend = Cpu>
struct TunedBlock {
  const BlockProgram* program = nullptr;
  /// Linears that are trained are overwritten, and end at what was kept.
  BlockWeights<float, Backend>* weights = nullptr;
  std::vector<TunedMatrix> matrices;  ///< empty: the block is frozen
};

/// Hidden states [tokens, width] of somebody else: a matrix in the backend's memory, or one that may be spilled.
template <class Backend = Cpu>
class TokenSource {
 public:
  TokenSource() = default;
  TokenSource(MatrixView<const float> matrix) : matrix_(matrix) {}
  TokenSource(MatrixView<float> matrix) : matrix_(matrix) {}
  TokenSource(const TokenMatrix<float, Backend>& tokens) : tokens_(&tokens) {}

  Index rows() const { return tokens_ != nullptr ? tokens_->rows() : matrix_.rows; }
  Index cols() const { return tokens_ != nullptr ? tokens_->cols() : matrix_.cols; }
  /// Copies whole rows from `first` on to a matrix of the backend.
  void load(const Context<Backend>& context, Index first, MatrixView<float> to) const {
    if (tokens_ != nullptr) return tokens_->load(first, 0, to);
    context.template transfer<float>(matrix_.middle_rows(first, to.rows), to, Transfer::Within);
  }

 private:
  MatrixView<const float> matrix_;
  const TokenMatrix<float, Backend>* tokens_ = nullptr;
};

template <class Backend = Cpu>
struct TuneData {
  TokenSource<Backend> input;       ///< [windows · length, width] of the first block, from the quantised stream
  TokenSource<Backend> target;      ///< [windows · length, width] of the last block, from the full-precision stream
  const float* channels = nullptr;  ///< [width] what each channel's squared error counts, on the host; null: 1
  Index length = 0;                 ///< tokens of a window
};

/// What training did. Losses are on held-out windows, where there are any, else on the training windows.
struct TuneReport {
  double start_loss = 0, loss = 0;  ///< relative: Σ g² (y − target)² / Σ g² target²
  int steps = 0;                    ///< after which the kept look was taken; 0: the start stays
};

/// Told after each step; false stops the training.
using TuneProgress = std::function<bool(int step, int steps, double loss)>;

/// Trains the blocks' matrices together. The same bytes for any number of threads, and wherever hidden states lie.
/// `seed`: of the order of batches. Throws Status::ShapeMismatch; Status::Cancelled if `progress` said so, and
/// Status::OutOfMemory, with the matrices as they came in; what make_trainable throws. Compiled into the library for
/// Cpu and, where it is built, Cuda.
template <class Backend>
TuneReport tune_window(const Context<Backend>& context, const TuneOptions& options,
                       std::vector<TunedBlock<Backend>> blocks, const TuneData<Backend>& data, std::int64_t seed,
                       const TuneProgress& progress = {});

/// Squares of the gain of a norm, channel by channel: what TuneData::channels is to be.
inline std::vector<float> squared_gains(const Matrix<float>& gain) {
  std::vector<float> squares(gain.data(), gain.data() + gain.size());
  for (float& value : squares) value *= value;
  return squares;
}

/// Those of the norm that reads the input of a block; empty if none does.
template <class Backend>
std::vector<float> squared_gains(const Context<Backend>& context, const BlockProgram& program,
                                 const BlockWeights<float, Backend>& weights) {
  for (const Op& op : program.ops)
    if (const auto* norm = std::get_if<NormOp>(&op); norm != nullptr && norm->in.slot == program.input)
      if (norm->groups == 1)
        return squared_gains(context.download(weights.parameters[static_cast<std::size_t>(norm->weight)].view()));
  return {};
}

}  // namespace halftone
