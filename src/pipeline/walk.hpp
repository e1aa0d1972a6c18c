// The walk over the blocks of a model: two streams of hidden states, the full-precision and the quantised one, start
// equal at the embedding and advance from stage to stage. At each stage the pair of inputs feeds the statistics, the
// stage's matrices are quantised, both streams move on: two passes over the model in all. (GPTQv2's code makes six of a
// block.) Where no method asks for cross moments the full-precision stream is left out; where none asks for any, both
// are.
#pragma once

#include <optional>

#include "halftone/pipeline/progress.hpp"
#include "model/weights_ahead.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/read_ahead.hpp"
#include "pipeline/recording.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

template <class Backend = Cpu>
class Walk {
 public:
  /// ids [windows, length]: empty if the plan needs no streams. Contexts and all other arguments must outlive the walk.
  Walk(const WalkContexts<Backend>& contexts, const Model& model, const RunPlan& plan,
       MatrixView<const std::int32_t> ids, Reading reading, WalkOutput& output, ProgressMeter& meter,
       const StreamOptions& options = {});

  /// Replays the blocks that the output has already, solves and writes the others. Whatever it throws, it first waits
  /// until the blocks that it finished are recorded.
  void run();

 private:
  void walk();
  bool weights_needed(Index block) const;
  void replay(Index block);
  void solve_block(Index block);
  void finish_matrix(const PlannedMatrix& planned, const QuantizedMatrix& solved);
  void enter(Index block);
  void leave(Index block);
  void advance_full(Index block, Index target);

  WalkContexts<Backend> contexts_;
  const Model& model_;
  const RunPlan& plan_;
  WalkOutput& output_;
  ProgressMeter& meter_;
  Recording recording_;
  WeightsAhead<Backend> arriving_;
  ReadAhead weights_;
  QuantisedStream<Backend> quantised_;
  std::optional<Stream<float, Backend>> full_;  ///< only if the plan asks for cross moments
  BlockWeights<float, Backend> full_weights_;   ///< of the block in it
};

}  // namespace halftone
