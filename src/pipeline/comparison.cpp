#include "halftone/pipeline/comparison.hpp"

#include <set>

#include "pipeline/comparison_run.impl.hpp"
#include "pipeline/process_memory.hpp"

namespace halftone {
namespace {

constexpr std::string_view original_name = "original";

void require_names(std::span<const NamedRecipe> recipes) {
  require(!recipes.empty(), Status::InvalidArgument, "compare: no recipe");
  std::set<std::string_view> names;
  for (const NamedRecipe& named : recipes) {
    require(!named.name.empty() && named.name != original_name, Status::InvalidArgument,
            "compare: a recipe is called '", named.name, "', wanted a name, and not that of the original");
    require(names.insert(named.name).second, Status::InvalidArgument, "compare: two recipes are called '", named.name,
            "', wanted different names");
  }
}

/// Takes over what `given` says where `value` is still open.
template <class T>
void agree(std::optional<T>& value, const std::optional<T>& given, const char* what, const std::string& name) {
  if (given && value && *given != *value)
    fail(Status::InvalidArgument, "compare: recipe '", name, "' wants calibration ", what, " ", *given,
         ", one before it ", *value, "; wanted the same for all, since they share the streams");
  if (given) value = given;
}

/// What the recipes say of calibration data, together.
Calibration shared_calibration(std::span<const NamedRecipe> recipes) {
  std::optional<std::string> file;
  WindowOptions windows;
  for (const auto& [name, recipe] : recipes) {
    const Calibration& own = recipe.calibration;
    agree(file, own.file.empty() ? std::nullopt : std::optional(own.file.string()), "file", name);
    agree(windows.windows, own.windows.windows, "windows", name);
    agree(windows.length, own.windows.length, "window length", name);
    agree(windows.seed, own.windows.seed, "seed", name);
  }
  return {file.value_or(""), windows};
}

/// All matrices of the blocks: their elements, and the bits that they take in the checkpoint.
struct BlockSize {
  explicit BlockSize(const Model& model) {
    for (Index block = 0; block < model.blocks(); ++block)
      for (const LinearInfo& linear : model.program(block).linears) {
        const double elements = static_cast<double>(linear.rows) * static_cast<double>(linear.cols);
        weights += elements;
        bits += elements * dtype_bits(model.checkpoint().tensors().info(linear.module + ".weight").dtype);
      }
  }
  double weights = 0, bits = 0;
};

}  // namespace

void ComparisonMeter::add_work(Index blocks, Index matrices) {
  now_.blocks += blocks;
  now_.matrices += matrices;
}

void ComparisonMeter::matrix_done(const std::string& recipe, const LayerReport& layer) {
  ++now_.matrices_done;
  step(Phase::Solve, concat(recipe, ": ", layer.module), &layer.solve);
}

void ComparisonMeter::block_done() {
  ++now_.blocks_done;
  const double left = static_cast<double>(now_.blocks - now_.blocks_done);
  now_.seconds_left = seconds() * left / static_cast<double>(now_.blocks_done);
  step(Phase::Write);
}

void ComparisonMeter::tuned(const TuningStep& tuning) {
  now_.tuning = &tuning;
  step(Phase::Tune);
}

void ComparisonMeter::step(Phase phase, const std::string& module, const SolveReport* report) {
  now_.phase = phase;
  now_.module = module;
  now_.report = report;
  now_.seconds = seconds();
  const bool go_on = !callback_ || callback_(now_);
  now_.tuning = nullptr;
  require(go_on, Status::Cancelled, "compare: stopped as asked, after ", now_.blocks_done, " of ", now_.blocks,
          " blocks; nothing is kept");
}

namespace {

std::vector<Evaluation> measured(const Context<Cpu>& context, const ComparisonTask& task, const WalkDevice* device) {
  if (device == nullptr) return compare_streams<Cpu>(context, task);
  try {
    return device->compare(context, task);
  } catch (const Error& error) {
    if (error.status() != Status::OutOfMemory) throw;
    fail(error.status(), "compare: ", task.recipes.size(), " recipes at once, fewer need less: ", error.what());
  }
}

}  // namespace

template class Contender<Cpu>;
template class Comparison<Cpu>;

ComparisonReport compare_recipes(const Context<Cpu>& context, const Model& model, std::span<const NamedRecipe> recipes,
                                 MatrixView<const std::int32_t> ids, const ProgressCallback& progress,
                                 const ComputeDevice& device) {
  require_names(recipes);
  require_evaluation_windows(model, ids);
  const auto opened = open_walk_device(device);
  return compare_on(context, model, recipes, ids, progress, opened.get());
}

ComparisonReport compare_on(const Context<Cpu>& context, const Model& model, std::span<const NamedRecipe> recipes,
                            MatrixView<const std::int32_t> ids, const ProgressCallback& progress,
                            const WalkDevice* device) {
  const KeepMemory keep;
  const Calibration calibration = shared_calibration(recipes);
  ComparisonMeter meter(progress);
  meter.add_work(model.blocks(), 0);
  meter.step(Phase::Open);
  std::deque<ComparedRecipe> compared;
  bool calibrated = false;
  for (NamedRecipe named : recipes) {
    named.recipe.calibration = calibration;
    const RunPlan& plan = compared.emplace_back(context, model, named, device).plan();
    calibrated = calibrated || plan.streams() > 0;
    meter.add_work(compared.back().tunes() ? model.blocks() : 0, plan.matrices());
  }
  Matrix<std::int32_t> calibration_ids;
  if (calibrated)
    calibration_ids =
        load_windows(calibration.file, model.checkpoint().directory(), model.vocabulary(), calibration.windows);

  ComparisonReport report;
  report.model = model.checkpoint().name();
  report.calibration = calibrated ? calibration.file.string() : "";
  report.calibration_windows = calibration_ids.rows();
  report.calibration_length = calibration_ids.cols();
  report.evaluation_windows = ids.rows;
  report.evaluation_length = ids.cols;
  report.original.name = original_name;
  report.original.bytes = compared.front().plan().checkpoint_bytes;
  const ComparisonTask task{model, compared, calibration_ids.view(), ids, meter};
  const std::vector<Evaluation> evaluations = measured(context, task, device);
  const BlockSize size(model);
  report.original.evaluation = evaluations.front();
  report.original.bits_per_weight = size.bits / size.weights;
  for (std::size_t i = 0; i < compared.size(); ++i)
    report.recipes.push_back(compared[i].finish(evaluations[i + 1], size.weights, size.bits));
  report.seconds = meter.seconds();
  report.peak_bytes = peak_resident_bytes();
  return report;
}

}  // namespace halftone
