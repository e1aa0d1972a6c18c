// The hidden states of all calibration windows on their way through a model: one stream. Quantisation moves one or two
// of them from stage to stage; evaluation moves one from block to block.
#pragma once

#include <algorithm>  // max
#include <limits>
#include <memory>
#include <type_traits>

#include "halftone/model/executor.hpp"
#include "halftone/model/token_matrix.hpp"

namespace halftone {

namespace detail {
template <class S, class Backend>
class ChunkLoader;
}

/// Tokens that are run at once, as one chunk. On the CPU a chunk's slots stay in a core's cache; elsewhere there is
/// enough of them for the whole device.
template <class Backend>
inline constexpr Index chunk_tokens = 8192;
template <>
inline constexpr Index chunk_tokens<Cpu> = 512;
/// Windows of a chunk. Depends on nothing but the length, so that a resumed run cuts where the first one did.
template <class Backend = Cpu>
Index chunk_windows(Index length) {
  return std::max<Index>(1, chunk_tokens<Backend> / length);
}

/// How a stream is kept and moved.
struct StreamOptions {
  Index windows_at_once = 0;                           ///< of a chunk; 0: chunk_windows(length)
  Index resident = std::numeric_limits<Index>::max();  ///< tokens whose numbers stay with the backend, the others
                                                       ///< in host memory; on the CPU all do
  ProductType products = ProductType::Float;           ///< what linears multiply; BFloat16 rounds inputs and weights
                                                       ///< (float)
};

/// Holds the slots that are live at one operation of one block, for every window. On the CPU a slot that comes to life
/// takes the place of one that dies meanwhile, where it can (places_taken).
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

  /// `hidden` [windows · length, width], on the host. Throws Status::ShapeMismatch unless the rows are whole windows.
  /// The context must outlive the stream.
  Stream(const Context<Backend>& context, halftone::Matrix<S> hidden, Index length, const StreamOptions& options = {});
  /// The same from wherever the numbers are.
  Stream(const Context<Backend>& context, TokenMatrix<S, Backend> hidden, Index length,
         const StreamOptions& options = {});

  /// Begins a block. Throws Status::InvalidArgument inside another one, Status::ShapeMismatch for another width.
  /// `program` must live until the block is left.
  void enter(const BlockProgram& program);
  /// Moves all windows from at() to op `target` (at() .. size). At the program's size the block is left. Every thread
  /// takes a chunk through all operations, or, where there are few chunks or they need much scratch, all threads share
  /// each operation of one chunk: the same bytes either way. Where the backend has no memory for a chunk, from then on
  /// chunks have half the windows (see windows_at_once); where it has none for one window, hidden states are spilled.
  /// Throws Status::InvalidArgument for a target behind at() or outside a block, and for weights in bfloat16 where the
  /// stream's products are of floats.
  void advance(const BlockWeights<S, Backend>& weights, Index target);

  /// Moves hidden states to the host, and keeps them there from now on. False if none were with the backend alone.
  bool spill();

  Index at() const { return at_; }  ///< op that is next; 0 between blocks
  Index tokens() const { return tokens_; }
  Index length() const { return length_; }
  Index windows_at_once() const { return windows_at_once_; }
  /// Columns of a live slot, tokens [first, first + count): [count, width], where the backend computes. Valid until the
  /// stream is asked again. `ahead`: tokens behind them that will be asked for next, which may come in meanwhile where
  /// they are in host memory. Throws Status::InvalidArgument for a slot that is not live.
  MatrixView<const S> rows(const Operand& operand, Index first, Index count, Index ahead = 0);
  /// No more rows are asked for: frees what held those that came in.
  void release_rows();
  /// All tokens of it. Throws Status::InvalidArgument where not all are resident.
  MatrixView<const S> view(const Operand& operand) const;
  /// Between blocks: the hidden state [tokens, width]; throws likewise.
  const Matrix& hidden() const { return hidden_.whole(); }
  /// The same, wherever they are.
  const TokenMatrix<S, Backend>& hidden_tokens() const { return hidden_; }

 private:
  class ChunkRunner;
  /// Where a slot is on the way to the next target.
  std::size_t place(int slot) const {
    const int taken = places_[static_cast<std::size_t>(slot)];
    return static_cast<std::size_t>(taken < 0 ? slot : taken);
  }
  TokenMatrix<S, Backend> allocated(Index width);
  /// `halves`: of BlockRunner::multiply_halves.
  using Half = typename Backend::template Matrix<BFloat16>;
  using Halves = std::span<const Half>;
  std::vector<Half> rounded(const BlockWeights<S, Backend>& weights, Index target);
  void run_chunks(const BlockWeights<S, Backend>& weights, Halves halves, Index target);
  void run_one_by_one(const BlockWeights<S, Backend>& weights, Halves halves, Index target);
  const TokenMatrix<S, Backend>& live(const Operand& operand) const;

  const Context<Backend>* context_;
  TokenMatrix<S, Backend> hidden_;  // empty inside a block
  Index tokens_, length_, resident_, windows_at_once_, at_ = 0;
  ProductType products_;
  const BlockProgram* program_ = nullptr;
  std::vector<TokenMatrix<S, Backend>> slots_;                  // by slot; empty where it is not live
  std::vector<int> places_;                                     // by slot: whose place it takes on the way, or −1
  std::vector<Matrix> rows_;                                    // of rows(), by slot, where they are spilled
  std::shared_ptr<detail::ChunkLoader<S, Backend>> next_rows_;  // on their way
};

/// Most bytes that a stream of `tokens` tokens in float holds anywhere in the block, on its way from stage to stage,
/// the scratch of its chunks included.
Index stream_bytes(const BlockProgram& program, Index tokens, Index length, int threads = available_threads());

}  // namespace halftone
