#include "halftone/pipeline/comparison.hpp"

#include <algorithm>  // any_of, min
#include <chrono>
#include <deque>
#include <set>

#include "model/logit_scores.hpp"
#include "pipeline/contender.hpp"
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

/// Tells the caller where the comparison is, and carries its wish to stop.
class Meter {
 public:
  explicit Meter(const ProgressCallback& callback) : callback_(callback) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void add_work(Index blocks, Index matrices) {
    now_.blocks += blocks;
    now_.matrices += matrices;
  }
  void matrix_done(const std::string& recipe, const LayerReport& layer) {
    ++now_.matrices_done;
    step(Phase::Solve, concat(recipe, ": ", layer.module), &layer.solve);
  }
  void block_done() {
    ++now_.blocks_done;
    const double left = static_cast<double>(now_.blocks - now_.blocks_done);
    now_.seconds_left = seconds() * left / static_cast<double>(now_.blocks_done);
    step(Phase::Write);
  }
  void tuned(const TuningStep& tuning) {
    now_.tuning = &tuning;
    step(Phase::Tune);
  }
  /// Throws Status::Cancelled if the caller wants to stop.
  void step(Phase phase, const std::string& module = {}, const SolveReport* report = nullptr) {
    now_.phase = phase;
    now_.module = module;
    now_.report = report;
    now_.seconds = seconds();
    const bool go_on = !callback_ || callback_(now_);
    now_.tuning = nullptr;
    require(go_on, Status::Cancelled, "compare: stopped as asked, after ", now_.blocks_done, " of ", now_.blocks,
            " blocks; nothing is kept");
  }

 private:
  const ProgressCallback& callback_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  Progress now_;
};

/// All contenders and the two full-precision streams on their way through the model.
class Comparison {
 public:
  Comparison(const Context<Cpu>& context, const Model& model, std::deque<Contender>& contenders,
             MatrixView<const std::int32_t> calibration, MatrixView<const std::int32_t> ids, Meter& meter)
      : context_(context), model_(model), contenders_(contenders), calibration_(calibration), ids_(ids), meter_(meter) {
    const auto inputs = ids.middle_cols(0, ids.cols - 1);
    evaluation_.emplace(context, model.embed(context, inputs), inputs.cols);
    for (Contender& contender : contenders) {
      contender.begin(calibration, *evaluation_);
      if (!contender.tunes()) together_.push_back(&contender);
    }
    if (full_is_needed([](const Contender& contender) { return contender.needs_full_in(0); }))
      full_.emplace(context, model.embed(context, calibration), calibration.cols,
                    StreamOptions{.products = products_of_full()});
  }

  void run();
  void evaluate(ComparisonReport& report);

 private:
  void run_block(Index block);
  void run_tuned(Contender& contender);
  template <class Test>
  bool full_is_needed(Test&& test) const {
    return std::any_of(contenders_.begin(), contenders_.end(), test);
  }
  /// What all recipes that read the full-precision stream multiply.
  ProductType products_of_full() const;
  /// The full-precision stream at the stage's inputs.
  Stream<float>* full_at(Index block, std::size_t stage, const BlockWeights<float>& original);

  const Context<Cpu>& context_;
  const Model& model_;
  std::deque<Contender>& contenders_;
  std::vector<Contender*> together_;  ///< those that do not tune
  MatrixView<const std::int32_t> calibration_, ids_;
  Meter& meter_;
  std::optional<Stream<float>> evaluation_;  ///< of the original
  std::optional<Stream<float>> full_;        ///< calibration, only while a recipe asks for cross moments
};

ProductType Comparison::products_of_full() const {
  const Contender* first = nullptr;
  for (const Contender* contender : together_) {
    if (!contender->needs_full_in(0)) continue;
    if (first == nullptr) first = contender;
    require(contender->products() == first->products(), Status::InvalidArgument, "compare: ", first->name(), " and ",
            contender->name(),
            " share one full-precision stream and differ in what it multiplies, wanted the same --compute");
  }
  return first == nullptr ? ProductType::Float : first->products();
}

Stream<float>* Comparison::full_at(Index block, std::size_t stage, const BlockWeights<float>& original) {
  if (!full_) return nullptr;
  full_->advance(original, model_.program(block).stages[stage].first_op);
  return &*full_;
}

void Comparison::run() {
  for (Index block = 0; block < model_.blocks(); ++block) run_block(block);
  for (Contender& contender : contenders_)
    if (contender.tunes()) run_tuned(contender);
}

void Comparison::run_tuned(Contender& contender) {
  Index blocks_done = 0;
  const auto progress = [&](const Progress& now) {
    if (now.tuning != nullptr) meter_.tuned(*now.tuning);
    for (; blocks_done < now.blocks_done; ++blocks_done) meter_.block_done();
    return true;
  };
  contender.walk(calibration_, progress,
                 [&](const LayerReport& layer) { meter_.matrix_done(contender.name(), layer); });
}

void Comparison::run_block(Index block) {
  const BlockProgram& program = model_.program(block);
  const BlockWeights<float> original = model_.load_block(context_, block);
  for (Contender* contender : together_) contender->enter(block, original);
  if (full_) full_->enter(program);
  for (std::size_t stage = 0; stage < program.stages.size(); ++stage) {
    meter_.step(Phase::Collect);
    Stream<float>* full = full_at(block, stage, original);
    for (Contender* contender : together_)
      contender->solve(block, static_cast<int>(stage), full,
                       [&](const LayerReport& layer) { meter_.matrix_done(contender->name(), layer); });
  }
  for (Contender* contender : together_) {
    meter_.step(Phase::Collect);
    contender->leave(block);
  }
  if (full_is_needed([&](const Contender& contender) { return contender.needs_full_after(block); }))
    full_->advance(original, program.size());
  else
    full_.reset();
  evaluation_->enter(program);
  evaluation_->advance(original, program.size());
  meter_.block_done();
}

/// Logits of the original once a chunk, of every contender beside them.
void Comparison::evaluate(ComparisonReport& report) {
  const HeadWeights head = model_.load_head();
  Predictor reference(context_, model_, head), predictor(context_, model_, head);
  const auto targets = ids_.middle_cols(1, ids_.cols - 1);
  const Index tokens = targets.rows * targets.cols, chunk = logit_chunk(tokens, model_.vocabulary());
  LogitScores original(targets, true);
  std::vector<LogitScores> scores(contenders_.size(), LogitScores(targets, true));
  for (Index first = 0; first < tokens; first += chunk) {
    const Index count = std::min(chunk, tokens - first);
    reference.predict(evaluation_->hidden(), first, count);
    original.add(context_, first, reference, &reference);
    for (std::size_t i = 0; i < contenders_.size(); ++i) {
      meter_.step(Phase::Evaluate);
      predictor.predict(contenders_[i].hidden(), first, count);
      scores[i].add(context_, first, predictor, &reference);
    }
  }
  const BlockSize size(model_);
  report.original.evaluation = original.result();
  report.original.bits_per_weight = size.bits / size.weights;
  for (std::size_t i = 0; i < contenders_.size(); ++i)
    report.recipes.push_back(contenders_[i].finish(scores[i].result(), size.weights, size.bits));
}

}  // namespace

ComparisonReport compare_recipes(const Context<Cpu>& context, const Model& model, std::span<const NamedRecipe> recipes,
                                 MatrixView<const std::int32_t> ids, const ProgressCallback& progress) {
  require_names(recipes);
  require_evaluation_windows(model, ids);
  const KeepMemory keep;
  const Calibration calibration = shared_calibration(recipes);
  Meter meter(progress);
  meter.add_work(model.blocks(), 0);
  meter.step(Phase::Open);
  std::deque<Contender> contenders;
  bool calibrated = false;
  for (NamedRecipe named : recipes) {
    named.recipe.calibration = calibration;
    const RunPlan& plan = contenders.emplace_back(context, model, named).plan();
    calibrated = calibrated || plan.streams() > 0;
    meter.add_work(contenders.back().tunes() ? model.blocks() : 0, plan.matrices());
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
  report.original.bytes = contenders.front().plan().checkpoint_bytes;
  Comparison comparison(context, model, contenders, calibration_ids, ids, meter);
  comparison.run();
  comparison.evaluate(report);
  report.seconds = meter.seconds();
  report.peak_bytes = peak_resident_bytes();
  return report;
}

}  // namespace halftone
