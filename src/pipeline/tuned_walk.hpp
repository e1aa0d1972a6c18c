// The walk with fine-tuning across blocks (arXiv 2411.03934): windows of blocks are solved as in walk.hpp, then tuned
// together against the full-precision stream, then written. A third stream, of the original model, runs ahead to where
// the loss is taken. Originals are kept until no later window needs them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "halftone/tune/window_tuner.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

template <class Backend = Cpu>
class TunedWalk {
 public:
  /// ids [windows, length]. plan.tune.steps > 0. Contexts and all other arguments but `ids` must outlive the walk.
  TunedWalk(const WalkContexts<Backend>& contexts, const Model& model, const RunPlan& plan,
            MatrixView<const std::int32_t> ids, WalkOutput& output, ProgressMeter& meter,
            const StreamOptions& options = {});
  TunedWalk(const TunedWalk&) = delete;  // the quantised stream asks this one for room
  TunedWalk& operator=(const TunedWalk&) = delete;

  /// Goes on behind the blocks that the output has already; with windows that overlap, behind the window that it has
  /// kept, or from the first one if it has none. A window that was cut short is done again from its start.
  void run();

 private:
  using Weights = BlockWeights<float, Backend>;
  using Hidden = TokenMatrix<float, Backend>;
  /// A block from its solve until it is final.
  struct Solved {
    Weights weights;  ///< as quantised so far
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
  std::vector<TunedBlock<Backend>> tuned_blocks(const TuneWindow& window);
  void tune(const TuneWindow& window, std::size_t number);
  TuneReport train(const TuneWindow& window, std::size_t number);
  void settle(const TuneWindow& window);
  void write_block(Index block, Solved& solved);
  Weights& original(Index block);
  Weights copied(Index block);
  void pass(std::string_view which, Stream<float, Backend>& stream, Index block);
  std::vector<float> channel_weights(Index until);
  template <class Work>
  auto with_room(Work&& work);

  WalkContexts<Backend> contexts_;
  const Model& model_;
  const RunPlan& plan_;
  WalkOutput& output_;
  ProgressMeter& meter_;
  Index length_;
  QuantisedStream<Backend> quantised_;
  std::optional<Stream<float, Backend>> full_;  ///< beside the solve; only if the plan asks for cross moments
  Stream<float, Backend> ahead_;                ///< at the end of the look-ahead
  Index ahead_block_ = 0;
  std::string room_note_;  ///< what was done for want of memory, for the next report
  Hidden input_;           ///< of the window: the quantised stream before its first block
  std::map<Index, Weights> originals_;
  std::map<Index, Solved> solved_;
};

}  // namespace halftone
