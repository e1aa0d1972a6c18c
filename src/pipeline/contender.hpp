// One recipe of a comparison on its way through the model: its plan, its two streams and what it has come to.
#pragma once

#include "halftone/pipeline/comparison.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/walk_output.hpp"

namespace halftone {

class Contender {
 public:
  /// Plans the recipe. The context and the model must outlive the object. Throws what make_plan throws, naming the
  /// recipe.
  Contender(const Context<Cpu>& context, const Model& model, const NamedRecipe& recipe);

  const RunPlan& plan() const { return plan_; }
  const std::string& name() const { return result_.name; }
  /// True if the recipe tunes: it then walks through the model by itself, before or after the others.
  bool tunes() const { return plan_.tune.steps > 0; }
  ProductType products() const { return plan_.products; }
  /// Puts the streams at the embedding: calibration [windows, length] (empty where no recipe needs it) and the hidden
  /// states of the evaluation.
  void begin(MatrixView<const std::int32_t> calibration, const Stream<float>& evaluation);

  using LayerCallback = std::function<void(const LayerReport&)>;
  /// The whole way of a recipe that tunes. Throws what `progress` throws.
  void walk(MatrixView<const std::int32_t> calibration, const ProgressCallback& progress, const LayerCallback& solved);

  /// True if this block, or a later one, asks for the full-precision stream.
  bool needs_full_in(Index block) const { return stream_ && plan_.streams() == 2 && stream_->needed_in(block); }
  bool needs_full_after(Index block) const { return stream_ && plan_.streams() == 2 && stream_->needed_after(block); }

  void enter(Index block, BlockWeights<float> original);
  /// The block's stage with that number, if any of its matrices is quantised. `full`: as QuantisedStream::solve.
  void solve(Index block, int stage, Stream<float>* full, const LayerCallback& solved);
  /// Leaves the block: the evaluation's hidden states pass through it as it is now.
  void leave(Index block);

  const Matrix<float>& hidden() const { return evaluation_->hidden(); }
  /// The row of the table; `block_weights`, `block_bits`: elements of all matrices in the blocks, and the bits that
  /// they take in the original.
  ComparedModel finish(const Evaluation& evaluation, double block_weights, double block_bits);

 private:
  class Follower;
  void count(const PlannedMatrix& planned, const QuantizedMatrix& solved);
  void pass_evaluation(Index block, const BlockWeights<float>& weights);

  const Context<Cpu>& context_;
  const Model& model_;
  RunPlan plan_;
  bool plain_values_;      ///< the format stores no codes
  Index stored_bits_ = 0;  ///< of all matrices solved so far: their codes and what belongs to them, without a gap
  std::optional<QuantisedStream<>> stream_;  ///< none of a recipe that tunes
  std::optional<Stream<float>> evaluation_;
  ComparedModel result_;
};

}  // namespace halftone
