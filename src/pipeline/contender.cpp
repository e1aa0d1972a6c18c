#include "pipeline/contender.hpp"

#include <algorithm>  // find
#include <chrono>
#include <utility>  // move

#include "pipeline/run_setup.hpp"

namespace halftone {
namespace {

/// Adds the time of a scope to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;

 private:
  double& seconds_;
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
  stream_.emplace(context_, model_, plan_, calibration);
  evaluation_.emplace(evaluation);
}

void Contender::enter(Index block, BlockWeights<float> original) { stream_->enter(block, std::move(original)); }

void Contender::solve(Index block, int stage, const Stream<float>* full,
                      const std::function<void(const LayerReport&)>& solved) {
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
  evaluation_->enter(model_.program(block));
  evaluation_->advance(*weights, model_.program(block).size());
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
