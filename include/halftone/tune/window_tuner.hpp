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
#include "halftone/tune/options.hpp"

namespace halftone {

/// A matrix that is trained.
struct TunedMatrix {
  int linear = 0;                     ///< of the block's program
  MatrixView<const float> W;          ///< [out, in] original weights
  QuantizedMatrix* matrix = nullptr;  ///< in: the solver's, for W; out: the tuned one, or what came in
  int minimum_zero = 0;               ///< as in GridOptions
};

/// A block of the window or behind it.
struct TunedBlock {
  const BlockProgram* program = nullptr;
  BlockWeights<float>* weights = nullptr;  ///< linears that are trained are overwritten, and end at what was kept
  std::vector<TunedMatrix> matrices;       ///< empty: the block is frozen
};

struct TuneData {
  MatrixView<const float> input;    ///< [windows · length, width] of the first block, from the quantised stream
  MatrixView<const float> target;   ///< [windows · length, width] of the last block, from the full-precision stream
  const float* channels = nullptr;  ///< [width] what each channel's squared error counts; null: 1
  Index length = 0;                 ///< tokens of a window
};

/// What training did. Losses are on held-out windows, where there are any, else on the training windows.
struct TuneReport {
  double start_loss = 0, loss = 0;  ///< relative: Σ g² (y − target)² / Σ g² target²
  int steps = 0;                    ///< after which the kept look was taken; 0: the start stays
};

/// Told after each step; false stops the training.
using TuneProgress = std::function<bool(int step, int steps, double loss)>;

/// Trains the blocks' matrices together. The same bytes for any number of threads. `seed`: of the order of batches.
/// Throws Status::ShapeMismatch; Status::Cancelled if `progress` said so, with the matrices as they came in; what
/// make_trainable throws.
TuneReport tune_window(const Context<Cpu>& context, const TuneOptions& options, std::vector<TunedBlock> blocks,
                       const TuneData& data, std::int64_t seed, const TuneProgress& progress = {});

/// Squares of the gain of a norm, channel by channel: what TuneData::channels is to be.
std::vector<float> squared_gains(const Matrix<float>& gain);
/// Those of the norm that reads the input of a block; empty if none does.
std::vector<float> squared_gains(const BlockProgram& program, const BlockWeights<float>& weights);

}  // namespace halftone
