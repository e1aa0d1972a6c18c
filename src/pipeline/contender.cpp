#include "pipeline/contender.hpp"

#include <algorithm>  // find
#include <chrono>
#include <utility>  // move

#include "pipeline/run_setup.hpp"

namespace halftone {
namespace {

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

RunPlan plan_of(const Context<Cpu>& context, const Model& model, const NamedRecipe& named) try {
  return plan_over(context, model, named.recipe, 0, 0);
} catch (const Error& error) {
  fail(error.status(), "recipe '", named.name, "': ", error.what());
}

std::string methods_of(const RunPlan& plan) {
  std::vector<std::string> names;
  for (const auto& stages : plan.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices)
        if (std::find(names.begin(), names.end(), planned.method) == names.end()) names.push_back(planned.method);
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Contender::Contender(const Context<Cpu>& context, const Model& model, const NamedRecipe& recipe)
    : context_(context),
      model_(model),
      plan_(plan_of(context, model, recipe)),
      plain_values_(!find_format(plan_.format).stores_codes()) {
  result_.name = recipe.name;
  result_.method = methods_of(plan_);
  result_.format = plan_.format;
  result_.notes = plan_.notes;
}

void Contender::begin(MatrixView<const std::int32_t> calibration, const Stream<float>& evaluation) {
  if (!tunes()) stream_.emplace(context_, model_, plan_, calibration);
  evaluation_.emplace(evaluation);
}

/// Where the walk of a recipe that tunes puts its matrices: the evaluation's hidden states follow a block behind.
class Contender::Follower final : public WalkOutput {
 public:
  Follower(Contender& contender, const LayerCallback& solved)
      : contender_(contender), format_(find_format(contender.plan_.format)), solved_(solved) {}

  Index finished_blocks() const override { return 0; }
  Matrix<float> stored_values(const PlannedMatrix& planned) const override {
    fail(Status::Internal, planned.matrix.module, ": a comparison has no finished blocks");
  }
  void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport&) override {
    contender_.count(planned, solved);
    values_.emplace_back(planned.linear, format_.stored_values(planned.matrix, solved));
    solved_(contender_.result_.layers.back());
  }
  void block_done(Index block) override {
    const Stopwatch left_out(contender_.result_.seconds, -1);
    BlockWeights<float> weights = contender_.model_.load_block(contender_.context_, block);
    for (auto& [linear, values] : values_) weights.linears[static_cast<std::size_t>(linear)] = std::move(values);
    values_.clear();
    contender_.pass_evaluation(block, weights);
  }

 private:
  Contender& contender_;
  const Format& format_;
  const LayerCallback& solved_;
  std::vector<std::pair<int, Matrix<float>>> values_;  // of the block's linears
};

void Contender::walk(MatrixView<const std::int32_t> calibration, const ProgressCallback& progress,
                     const LayerCallback& solved) {
  const Stopwatch watch(result_.seconds);
  ProgressMeter meter(plan_, progress, "nothing is kept");
  Follower output(*this, solved);
  walk_model(context_, model_, plan_, calibration, Reading::WhenAsked, output, meter);
}

void Contender::enter(Index block, BlockWeights<float> original) { stream_->enter(block, std::move(original)); }

void Contender::solve(Index block, int stage, Stream<float>* full, const LayerCallback& solved) {
  for (const PlannedStage& planned : plan_.blocks[static_cast<std::size_t>(block)]) {
    if (planned.stage != stage) continue;
    const Stopwatch watch(result_.seconds);
    stream_->solve(planned, full, [&](const PlannedMatrix& matrix, const QuantizedMatrix& result) {
      count(matrix, result);
      solved(result_.layers.back());
    });
  }
}

void Contender::count(const PlannedMatrix& planned, const QuantizedMatrix& solved) {
  LayerReport layer = layer_report(planned, solved.report);
  const Index bits = stored_bits(solved);
  if (plain_values_) layer.bits_per_weight = static_cast<double>(bits) / static_cast<double>(layer.rows * layer.cols);
  stored_bits_ += bits;
  result_.solve_seconds += solved.report.seconds;
  result_.layers.push_back(std::move(layer));
}

void Contender::leave(Index block) {
  std::optional<BlockWeights<float>> weights;
  {
    const Stopwatch watch(result_.seconds);
    weights = stream_->leave();
  }
  pass_evaluation(block, *weights);
}

void Contender::pass_evaluation(Index block, const BlockWeights<float>& weights) {
  evaluation_->enter(model_.program(block));
  evaluation_->advance(weights, model_.program(block).size());
}

ComparedModel Contender::finish(const Evaluation& evaluation, double block_weights, double block_bits) {
  Index stored_bytes = 0;
  for (const auto& stages : plan_.blocks)
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) {
        stored_bytes += planned.stored_bytes;
        block_bits -= static_cast<double>(dtype_bits(planned.matrix.dtype)) *
                      static_cast<double>(planned.matrix.rows * planned.matrix.cols);
      }
  const Index bits = plain_values_ ? stored_bits_ : 8 * stored_bytes;  // block_bits: what is left as it was
  result_.evaluation = evaluation;
  result_.bits_per_weight = (static_cast<double>(bits) + block_bits) / block_weights;
  result_.bytes = plan_.output_bytes - stored_bytes + (bits + 7) / 8;
  return std::move(result_);
}

}  // namespace halftone
