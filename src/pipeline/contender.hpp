// One recipe of a comparison on its way through the model: its two streams, where a backend computes.
#pragma once

#include <functional>
#include <optional>

#include "pipeline/compared_recipe.hpp"
#include "pipeline/progress_meter.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

template <class Backend>
class Contender {
 public:
  using Weights = BlockWeights<float, Backend>;
  using Stream = halftone::Stream<float, Backend>;
  using LayerCallback = std::function<void(const LayerReport&)>;

  /// Puts the streams at the embedding: calibration [windows, length] (empty where no recipe needs it) and the hidden
  /// states of the evaluation [windows · length, hidden]. Contexts, model and recipe must outlive the object.
  Contender(const WalkContexts<Backend>& contexts, const Model& model, ComparedRecipe& recipe,
            MatrixView<const std::int32_t> calibration, Index resident_calibration, Stream evaluation);

  ComparedRecipe& recipe() { return recipe_; }
  const ComparedRecipe& recipe() const { return recipe_; }

  /// The whole way of a recipe that tunes; `device`: null for the CPU. Throws what `progress` throws.
  void walk(MatrixView<const std::int32_t> calibration, const WalkDevice* device, const ProgressCallback& progress,
            const LayerCallback& solved);

  /// True if this block, or a later one, asks for the full-precision stream.
  bool needs_full_in(Index block) const { return reads_full() && stream_->needed_in(block); }
  bool needs_full_after(Index block) const { return reads_full() && stream_->needed_after(block); }

  void enter(Index block, Weights original) { stream_->enter(block, std::move(original)); }
  /// The block's stage with that number, if any of its matrices is quantised. `full`: as QuantisedStream::solve.
  void solve(Index block, int stage, Stream* full, const LayerCallback& solved);
  /// Leaves the block: the evaluation's hidden states pass through it as it is now.
  void leave(Index block);

  /// The evaluation's hidden states.
  Stream& evaluation() { return evaluation_; }

 private:
  class Follower;
  bool reads_full() const { return stream_ && recipe_.plan().streams() == 2; }
  void pass_evaluation(Index block, const Weights& weights);

  WalkContexts<Backend> contexts_;
  const Model& model_;
  ComparedRecipe& recipe_;
  std::optional<QuantisedStream<Backend>> stream_;  ///< none of a recipe that tunes
  Stream evaluation_;
};

}  // namespace halftone
