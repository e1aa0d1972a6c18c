// The quantised stream: the hidden states of all calibration windows on their way through a model whose matrices are
// replaced, stage by stage, by what will be stored of them. One recipe's half of a walk; the full-precision stream,
// which several of these may share, is its owner's.
#pragma once

#include <functional>
#include <optional>

#include "halftone/model/stream.hpp"
#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/report.hpp"
#include "halftone/pipeline/trace.hpp"
#include "pipeline/walk_contexts.hpp"

namespace halftone {

///   QuantisedStream stream(context, model, plan, ids);
///   for each block:
///     stream.enter(block, weights);
///     for each stage of plan.blocks[block]: stream.solve(stage, full, solved);
///     weights = stream.leave();
template <class Backend = Cpu>
class QuantisedStream {
 public:
  using Weights = BlockWeights<float, Backend>;
  using There = typename Backend::template Matrix<float>;
  /// A matrix was solved.
  using Solved = std::function<void(const PlannedMatrix&, const QuantizedMatrix&)>;
  /// Gets a matrix's original weights [out, in].
  using Read = std::function<Matrix<float>(const PlannedMatrix&)>;

  /// ids [windows, length]: empty if the plan needs no streams. The contexts, the model, the plan and the trace, which
  /// may be null, must outlive the stream.
  QuantisedStream(const WalkContexts<Backend>& contexts, const Model& model, const RunPlan& plan,
                  MatrixView<const std::int32_t> ids, Trace* trace = nullptr, const StreamOptions& options = {});

  /// True if this block or a later one, or only a later one, needs the hidden states, for statistics or for tuning:
  /// else they need not move.
  bool needed_in(Index block) const { return block <= last_needed_; }
  bool needed_after(Index block) const { return block < last_needed_; }

  /// Begins a block with its original weights; or where the stream is not needed, with what reads each matrix when it
  /// is to be solved.
  void enter(Index block, Weights weights);
  void enter(Index block, Read read);
  /// Runs to the stage's inputs and solves its matrices: each is replaced by what its format will store, then told.
  /// `full`: the full-precision stream at the same stage; used where the stage asks for cross moments. Errors name the
  /// module.
  void solve(const PlannedStage& stage, Stream<float, Backend>* full, const Solved& solved);
  /// Puts values in a matrix's place without solving it.
  void replace(const PlannedMatrix& planned, Matrix<float> values);
  /// Runs to the block's end where later blocks need it; else the hidden states are let go. Returns the block's weights
  /// as they are now, if they were given.
  std::optional<Weights> leave();

  /// Between blocks: the hidden states [tokens, width], and others in their place.
  const TokenMatrix<float, Backend>& hidden() const { return hidden_->hidden_tokens(); }
  void restart(TokenMatrix<float, Backend> hidden);

  /// Moves hidden states to the host (Stream::spill), of this stream and of what `others` knows. False if none were
  /// with the backend alone.
  bool spill_hidden() {
    const bool own = hidden_ && hidden_->spill(), more = spill_others_ && spill_others_();
    return own || more;
  }
  void also_spill(std::function<bool()> others) { spill_others_ = std::move(others); }

  /// What a format will store of a matrix, where the backend computes: there codes are decoded, plain values come from
  /// the host.
  There stored_values(const PlannedMatrix& planned, const QuantizedMatrix& solved) const;

 private:
  class StageSolvers;
  using Statistics = InputStatistics<float, Backend>;
  template <class Work>
  auto with_room(Stream<float, Backend>* full, Statistics* sums, Work&& work);
  bool make_room(Stream<float, Backend>* full, Statistics* sums);
  QuantizedMatrix solve_one(const PlannedMatrix& planned, Stream<float, Backend>* full, Statistics& sums,
                            StageSolvers& solvers);
  There widened(std::size_t linear) const;
  void put(std::size_t linear, There values);
  Statistics collect(const PlannedStage& stage, const Operand& input, Stream<float, Backend>* full);

  WalkContexts<Backend> contexts_;
  const Model& model_;
  const RunPlan& plan_;
  Trace* trace_;
  Index last_needed_ = -1;  ///< last block that the hidden states go through
  Index length_ = 0;        ///< tokens of a window
  Index block_ = 0;         ///< the one that was entered
  StreamOptions options_;
  std::function<bool()> spill_others_;   ///< null: nothing else
  std::vector<std::string> room_notes_;  ///< what was done for want of memory, for the next report
  std::optional<Stream<float, Backend>> hidden_;
  std::optional<Weights> weights_;  ///< of the block
  Read read_;                       ///< where there are none
};

/// What a report says where a device had too little memory for a solve or a window.
inline constexpr const char* hidden_states_moved =
    "the device's memory was short: hidden states are in host memory from here on";

/// What a report says of a matrix that was solved: `bits_per_weight` is what its format stores.
LayerReport layer_report(const PlannedMatrix& planned, const SolveReport& solve);

}  // namespace halftone
