// The walk with fine-tuning across blocks (arXiv 2411.03934): windows of blocks are solved as in walk.hpp, then tuned
// together against the full-precision stream, then written. A third stream, of the original model, runs ahead to where
// the loss is taken. Originals are kept until no later window needs them.
#pragma once

#include <map>
#include <optional>

#include "halftone/tune/window_tuner.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

class TunedWalk {
 public:
  /// ids [windows, length]. plan.tune.steps > 0. All arguments but `ids` must outlive the walk.
  TunedWalk(const Context<Cpu>& context, const Model& model, const RunPlan& plan, MatrixView<const std::int32_t> ids,
            WalkOutput& output, ProgressMeter& meter);

  /// Goes on behind the blocks that the output has already; with windows that overlap, behind the window that it has
  /// kept, or from the first one if it has none. A window that was cut short is done again from its start.
  void run();

 private:
  /// A block from its solve until it is final.
  struct Solved {
    BlockWeights<float> weights;  ///< as quantised so far
    std::vector<std::pair<const PlannedMatrix*, QuantizedMatrix>> matrices;
  };

  bool overlapping() const { return plan_.tune.step > 0 && plan_.tune.step < plan_.tune.nblocks; }
  std::size_t go_on(const std::vector<TuneWindow>& windows);
  std::size_t go_on_behind(const std::vector<TuneWindow>& windows, KeptWindow kept);
  void replay(Index block);
  void restore(Index block, KeptWindow& kept);
  void keep(const TuneWindow& window, std::size_t number);
  void solve_block(Index block);
  void pass_through(Index block);
  void tune(const TuneWindow& window, MatrixView<const float> input, std::size_t number);
  void settle(const TuneWindow& window, Matrix<float> input);
  void write_block(Index block, Solved& solved);
  BlockWeights<float>& original(Index block);
  void pass(std::string_view which, Stream<float>& stream, Index block);
  std::vector<float> channel_weights(Index until);

  const Context<Cpu>& context_;
  const Model& model_;
  const RunPlan& plan_;
  WalkOutput& output_;
  ProgressMeter& meter_;
  Index length_;
  QuantisedStream<> quantised_;
  std::optional<Stream<float>> full_;  ///< beside the solve; only if the plan asks for cross moments
  Stream<float> ahead_;                ///< at the end of the look-ahead
  Index ahead_block_ = 0;
  std::map<Index, BlockWeights<float>> originals_;
  std::map<Index, Solved> solved_;
};

}  // namespace halftone
