// The bodies of contender.hpp, which each backend compiles once.
#pragma once

#include <chrono>
#include <utility>  // move

#include "model/move_to.hpp"
#include "pipeline/contender.hpp"
#include "pipeline/run_setup.hpp"

namespace halftone {
namespace detail {

/// Adds the time of a scope to a sum, or with sign −1 takes it away.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds, double sign = 1) : seconds_(seconds), sign_(sign) {}
  ~Stopwatch() { seconds_ += sign_ * std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;

 private:
  double& seconds_;
  double sign_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace detail

template <class Backend>
Contender<Backend>::Contender(const WalkContexts<Backend>& contexts, const Model& model, ComparedRecipe& recipe,
                              MatrixView<const std::int32_t> calibration, Index resident_calibration, Stream evaluation)
    : contexts_(contexts), model_(model), recipe_(recipe), evaluation_(std::move(evaluation)) {
  if (!recipe.tunes())
    stream_.emplace(contexts, model, recipe.plan(), calibration, nullptr,
                    StreamOptions{.resident = resident_calibration});
}

/// Where the walk of a recipe that tunes puts its matrices: the evaluation's hidden states follow a block behind.
template <class Backend>
class Contender<Backend>::Follower final : public WalkOutput {
 public:
  Follower(Contender& contender, const LayerCallback& solved)
      : contender_(contender), format_(find_format(contender.recipe_.plan().format)), solved_(solved) {}

  Index finished_blocks() const override { return 0; }
  Matrix<float> stored_values(const PlannedMatrix& planned) const override {
    fail(Status::Internal, planned.matrix.module, ": a comparison has no finished blocks");
  }
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport&) override {
    const LayerReport& layer = contender_.recipe_.count(planned, solved);
    values_.emplace_back(planned.linear, format_.stored_values(planned.matrix, solved));
    solved_(layer);
  }
  void block_done(Index block) override {
    const detail::Stopwatch left_out(contender_.recipe_.seconds(), -1);
    BlockWeights<float> weights = contender_.model_.load_block(contender_.contexts_.host, block);
    for (auto& [linear, values] : values_) weights.linears[static_cast<std::size_t>(linear)] = std::move(values);
    values_.clear();
    contender_.pass_evaluation(block, detail::moved_to(contender_.contexts_.backend, std::move(weights)));
  }

 private:
  Contender& contender_;
  const Format& format_;
  const LayerCallback& solved_;
  std::vector<std::pair<int, Matrix<float>>> values_;  // of the block's linears
};

template <class Backend>
void Contender<Backend>::walk(MatrixView<const std::int32_t> calibration, const WalkDevice* device,
                              const ProgressCallback& progress, const LayerCallback& solved) {
  const detail::Stopwatch watch(recipe_.seconds());
  ProgressMeter meter(recipe_.plan(), progress, "nothing is kept");
  Follower output(*this, solved);
  walk_model(contexts_.host, model_, recipe_.plan(), calibration, Reading::WhenAsked, output, meter, device);
}

template <class Backend>
void Contender<Backend>::solve(Index block, int stage, Stream* full, const LayerCallback& solved) {
  for (const PlannedStage& planned : recipe_.plan().blocks[static_cast<std::size_t>(block)]) {
    if (planned.stage != stage) continue;
    const detail::Stopwatch watch(recipe_.seconds());
    stream_->solve(planned, full, [&](const PlannedMatrix& matrix, const QuantizedMatrix& result) {
      solved(recipe_.count(matrix, result));
    });
  }
}

template <class Backend>
void Contender<Backend>::leave(Index block) {
  std::optional<Weights> weights;
  {
    const detail::Stopwatch watch(recipe_.seconds());
    weights = stream_->leave();
  }
  pass_evaluation(block, *weights);
}

template <class Backend>
void Contender<Backend>::pass_evaluation(Index block, const Weights& weights) {
  evaluation_.enter(model_.program(block));
  evaluation_.advance(weights, model_.program(block).size());
}

}  // namespace halftone
