// The hidden states of all calibration windows on their way through a model: one stream. Quantisation moves one or two
// of them from stage to stage; evaluation moves one from block to block.
#pragma once

#include <algorithm>  // max

#include "halftone/model/executor.hpp"

namespace halftone {

/// Windows that are run at once, as one chunk: about 512 tokens, so that a chunk's slots stay in a core's cache.
/// Depends on nothing but the length, so that a resumed run cuts where the first one did.
inline Index chunk_windows(Index length) { return std::max<Index>(1, 512 / length); }

/// Holds the slots that are live at one operation of one block, for every window.
///
///   Stream stream(context, model.embed(context, ids), length);
///   for each block:
///     stream.enter(program);
///     for (const Stage& stage : program.stages) {
///       stream.advance(weights, stage.first_op);
///       statistics.add(stream.view(stage.input));
///       ... quantise the stage's matrices, replace them in `weights` ...
///     }
///     stream.advance(weights, program.size());   // hidden() is now the block's output
template <class S = float, class Backend = Cpu>
class Stream {
 public:
  using Matrix = typename Backend::template Matrix<S>;

  /// `hidden` [windows · length, width]. `windows_at_once` 0: chunk_windows(length). Throws Status::ShapeMismatch
  /// unless the rows are whole windows. The context must outlive the stream.
  Stream(const Context<Backend>& context, Matrix hidden, Index length, Index windows_at_once = 0);

  /// Begins a block. Throws Status::InvalidArgument inside another one, Status::ShapeMismatch for another width.
  /// `program` must live until the block is left.
  void enter(const BlockProgram& program);
  /// Moves all windows from at() to op `target` (at() .. size). At the program's size the block is left. Every thread
  /// takes a chunk through all operations, or, where there are few chunks or they need much scratch, all threads share
  /// each operation of one chunk: the same bytes either way.
  /// Throws Status::InvalidArgument for a target behind at() or outside a block.
  void advance(const BlockWeights<S, Backend>& weights, Index target);

  Index at() const { return at_; }  ///< op that is next; 0 between blocks
  Index tokens() const { return tokens_; }
  Index length() const { return length_; }
  /// Columns of a live slot, [tokens, width]. Throws Status::InvalidArgument for one that is not live.
  MatrixView<const S> view(const Operand& operand) const;
  /// Between blocks: the hidden state [tokens, width].
  const Matrix& hidden() const { return hidden_; }

 private:
  void run_chunks(const BlockWeights<S, Backend>& weights, Index target);

  const Context<Backend>* context_;
  Matrix hidden_;  // empty inside a block
  Index tokens_, length_, windows_at_once_, at_ = 0;
  const BlockProgram* program_ = nullptr;
  std::vector<Matrix> slots_;  // by slot; empty where it is not live
};

/// Most bytes that a stream of `tokens` tokens in float holds anywhere in the block, on its way from stage to stage,
/// the scratch of its chunks included.
Index stream_bytes(const BlockProgram& program, Index tokens, Index length, int threads = available_threads());

}  // namespace halftone
