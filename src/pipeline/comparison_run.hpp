// All recipes of a comparison and the two full-precision streams on their way through the model, where a backend
// computes.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <vector>

#include "model/block_reader.hpp"
#include "pipeline/comparison_room.hpp"
#include "pipeline/contender.hpp"

namespace halftone {

/// Tells the caller where the comparison is, and carries its wish to stop.
class ComparisonMeter {
 public:
  explicit ComparisonMeter(const ProgressCallback& callback) : callback_(callback) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void add_work(Index blocks, Index matrices);
  void matrix_done(const std::string& recipe, const LayerReport& layer);
  void block_done();
  void tuned(const TuningStep& tuning);
  /// Throws Status::Cancelled if the caller wants to stop.
  void step(Phase phase, const std::string& module = {}, const SolveReport* report = nullptr);

 private:
  const ProgressCallback& callback_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Progress now_;
};

/// What is compared. Calibration [windows, length]: empty where no recipe needs any.
struct ComparisonTask {
  const Model& model;
  std::deque<ComparedRecipe>& recipes;
  MatrixView<const std::int32_t> calibration, ids;
  ComparisonMeter& meter;
};

template <class Backend>
class Comparison {
 public:
  /// `device`: null for the CPU. All arguments must outlive the object.
  Comparison(const WalkContexts<Backend>& contexts, const ComparisonTask& task, const ComparisonRoom& room = {},
             const WalkDevice* device = nullptr);

  /// Through all blocks.
  void run();
  /// Then: the measures of the original and of every recipe, in their order.
  std::vector<Evaluation> evaluate();

 private:
  using Stream = halftone::Stream<float, Backend>;
  using Weights = BlockWeights<float, Backend>;
  void run_block(Index block);
  void run_tuned(Contender<Backend>& contender);
  template <class Test>
  bool full_is_needed(Test&& test) const;
  /// What all recipes that read the full-precision stream multiply.
  ProductType products_of_full() const;
  /// The full-precision stream at the stage's inputs.
  Stream* full_at(Index block, std::size_t stage, const Weights& original);
  std::vector<Stream*> evaluations();

  WalkContexts<Backend> contexts_;
  const ComparisonTask& task_;
  const WalkDevice* device_;
  BlockReader<Backend> blocks_;
  std::deque<Contender<Backend>> contenders_;
  std::vector<Contender<Backend>*> together_;  ///< those that do not tune
  std::optional<Stream> evaluation_;           ///< of the original
  std::optional<Stream> full_;                 ///< calibration, only while a recipe asks for cross moments
};

/// All of it: the measures of the original, then of every recipe. `device`: null for the CPU.
template <class Backend>
std::vector<Evaluation> compare_streams(const WalkContexts<Backend>& contexts, const ComparisonTask& task,
                                        const ComparisonRoom& room = {}, const WalkDevice* device = nullptr) {
  Comparison<Backend> comparison(contexts, task, room, device);
  comparison.run();
  return comparison.evaluate();
}

/// compare_recipes where names and windows were looked at; `device`: null for the CPU.
ComparisonReport compare_on(const Context<Cpu>& context, const Model& model, std::span<const NamedRecipe> recipes,
                            MatrixView<const std::int32_t> ids, const ProgressCallback& progress,
                            const WalkDevice* device);

}  // namespace halftone
