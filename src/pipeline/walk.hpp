// The walk over the blocks of a model: two streams of hidden states, the full-precision and the quantised one, start
// equal at the embedding and advance from stage to stage. At each stage the pair of inputs feeds the statistics, the
// stage's matrices are quantised, both streams move on: two passes over the model in all. (GPTQv2's code makes six of a
// block.) Where no method asks for cross moments the full-precision stream is left out; where none asks for any, both
// are.
#pragma once

#include <map>
#include <optional>

#include "halftone/model/stream.hpp"
#include "halftone/pipeline/progress.hpp"
#include "pipeline/journal.hpp"
#include "pipeline/layer_log.hpp"
#include "pipeline/output_model.hpp"
#include "pipeline/progress_meter.hpp"

namespace halftone {

class Walk {
 public:
  /// ids [windows, length]: empty if the plan needs no streams. All arguments must outlive the walk.
  Walk(const Context<Cpu>& context, const Model& model, const RunPlan& plan, MatrixView<const std::int32_t> ids,
       OutputModel& output, Journal& journal, LayerLog& log, ProgressMeter& meter);

  /// Replays the blocks that the journal says are finished, solves, writes and records the others.
  /// Returns the rows of all layers.
  std::vector<LayerReport> run();

 private:
  /// The weights of the block in both streams. With one stream `full` is empty.
  struct Weights {
    BlockWeights<float> quantised;
    BlockWeights<float> full;
  };

  Weights load(Index block) const;
  void replay(Index block);
  JournalBlock solve_block(Index block);
  void solve_stage(Index block, const PlannedStage& stage, Weights& weights, JournalBlock& record, std::uint64_t& hash);
  LayerReport finish_matrix(const PlannedMatrix& planned, const QuantizedMatrix& solved, std::uint64_t& hash);
  InputStatistics<float> collect(const PlannedStage& stage, const Operand& input) const;
  void enter(const BlockProgram& program);
  void advance(const Weights& weights, Index op);
  bool streams_needed_after(Index block) const { return block < last_needed_; }
  bool streams_needed_in(Index block) const { return block <= last_needed_; }

  const Context<Cpu>& context_;
  const Model& model_;
  const RunPlan& plan_;
  OutputModel& output_;
  Journal& journal_;
  LayerLog& log_;
  ProgressMeter& meter_;
  Index last_needed_ = -1;  ///< last block with a stage that needs statistics
  std::optional<Stream<float>> quantised_, full_;
};

}  // namespace halftone
