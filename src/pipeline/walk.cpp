#include "pipeline/walk.hpp"

#include "pipeline/plan_cost.hpp"
#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

/// Quantizers of a stage and what each derived from the statistics, one for each distinct method and options.
class StageSolvers {
 public:
  StageSolvers(const Context<Cpu>& context, const InputStatistics<float>& statistics)
      : context_(context), statistics_(statistics) {}

  QuantizedMatrix solve(const PlannedMatrix& planned, MatrixView<const float> W) {
    Entry& entry = entries_[{planned.method, planned.options}];
    if (!entry.quantizer) {
      entry.quantizer = make_quantizer(context_, planned.method, planned.options);
      entry.prepared = entry.quantizer->prepare(statistics_);
    }
    return entry.quantizer->quantize(W, *entry.prepared);
  }

 private:
  struct Entry {
    std::unique_ptr<Quantizer> quantizer;
    std::unique_ptr<Prepared> prepared;
  };
  const Context<Cpu>& context_;
  const InputStatistics<float>& statistics_;
  std::map<std::pair<std::string, OptionMap>, Entry> entries_;
};

/// Runs `work`; its errors name the module that they are about.
template <class Work>
auto about(const std::string& module, std::string_view what, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    fail(error.status(), module, what, ": ", error.what());
  }
}

Index last_block_with_statistics(const RunPlan& plan) {
  Index last = -1;
  for (std::size_t block = 0; block < plan.blocks.size(); ++block)
    for (const PlannedStage& stage : plan.blocks[block])
      if (stage.moments != Moments::None) last = static_cast<Index>(block);
  return last;
}

}  // namespace

Walk::Walk(const Context<Cpu>& context, const Model& model, const RunPlan& plan, MatrixView<const std::int32_t> ids,
           OutputModel& output, Journal& journal, LayerLog& log, ProgressMeter& meter)
    : context_(context),
      model_(model),
      plan_(plan),
      output_(output),
      journal_(journal),
      log_(log),
      meter_(meter),
      last_needed_(last_block_with_statistics(plan)) {
  if (plan.streams() == 0) return;
  quantised_.emplace(context, model.embed(context, ids), ids.cols);
  if (plan.streams() == 2) full_.emplace(context, model.embed(context, ids), ids.cols);
}

std::vector<LayerReport> Walk::run() {
  std::vector<LayerReport> layers;
  const auto finished = static_cast<Index>(journal_.blocks().size());
  for (Index block = 0; block < finished; ++block) {
    replay(block);
    for (const LayerReport& layer : journal_.blocks()[static_cast<std::size_t>(block)].layers) layers.push_back(layer);
  }
  for (const LayerReport& layer : layers) log_.append(layer);
  for (Index block = finished; block < model_.blocks(); ++block) {
    JournalBlock record = solve_block(block);
    output_.sync();
    journal_.append(record);
    meter_.block_done();
    meter_.step(Phase::Write);
    layers.insert(layers.end(), record.layers.begin(), record.layers.end());
  }
  return layers;
}

Walk::Weights Walk::load(Index block) const {
  Weights weights;
  weights.quantised = model_.load_block(context_, block);
  if (full_) weights.full = weights.quantised;
  for (const LinearInfo& linear : model_.program(block).linears)
    model_.checkpoint().tensors().release(linear.module + ".weight");
  return weights;
}

void Walk::enter(const BlockProgram& program) {
  quantised_->enter(program);
  if (full_) full_->enter(program);
}

void Walk::advance(const Weights& weights, Index op) {
  quantised_->advance(weights.quantised, op);
  if (full_) full_->advance(weights.full, op);
}

/// A block that an earlier run finished: the streams pass through it with the weights that are in the files.
void Walk::replay(Index block) {
  meter_.step(Phase::Replay);
  const auto& stages = plan_.blocks[static_cast<std::size_t>(block)];
  for (const PlannedStage& stage : stages)
    for (const PlannedMatrix& planned : stage.matrices) output_.mark_written(planned);
  if (streams_needed_after(block)) {
    Weights weights = load(block);
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices)
        weights.quantised.linears[static_cast<std::size_t>(planned.linear)] = output_.stored_values(planned);
    enter(model_.program(block));
    advance(weights, model_.program(block).size());
  }
  meter_.skip_block(stages);
}

JournalBlock Walk::solve_block(Index block) {
  JournalBlock record{block, {}, {}};
  std::uint64_t hash = 0;
  Weights weights;
  if (streams_needed_in(block)) {
    weights = load(block);
    enter(model_.program(block));
  }
  for (const PlannedStage& stage : plan_.blocks[static_cast<std::size_t>(block)])
    solve_stage(block, stage, weights, record, hash);
  if (streams_needed_after(block)) advance(weights, model_.program(block).size());
  record.hash = hex(hash);
  return record;
}

void Walk::solve_stage(Index block, const PlannedStage& stage, Weights& weights, JournalBlock& record,
                       std::uint64_t& hash) {
  const BlockProgram& program = model_.program(block);
  const Stage& place = program.stages[static_cast<std::size_t>(stage.stage)];
  const TensorSource& source = model_.checkpoint().tensors();
  meter_.step(Phase::Collect);
  if (stage.moments != Moments::None) advance(weights, place.first_op);
  const InputStatistics<float> statistics =
      about(stage.matrices.front().matrix.module, ", its inputs", [&] { return collect(stage, place.input); });
  StageSolvers solvers(context_, statistics);
  for (const PlannedMatrix& planned : stage.matrices) {
    QuantizedMatrix solved;
    if (streams_needed_in(block)) {
      Matrix<float>& W = weights.quantised.linears[static_cast<std::size_t>(planned.linear)];
      solved = about(planned.matrix.module, "", [&] { return solvers.solve(planned, W); });
      W = find_format(plan_.format).stored_values(planned.matrix, solved);
    } else {
      const std::string tensor = planned.matrix.module + ".weight";
      solved = about(planned.matrix.module, "", [&] { return solvers.solve(planned, source.matrix(tensor)); });
      source.release(tensor);
    }
    record.layers.push_back(finish_matrix(planned, solved, hash));
    const bool block_is_done =
        &stage == &plan_.blocks[static_cast<std::size_t>(block)].back() && &planned == &stage.matrices.back();
    if (!block_is_done) meter_.check();  // a block that is done is recorded first
  }
}

/// Writes, checks, reports.
LayerReport Walk::finish_matrix(const PlannedMatrix& planned, const QuantizedMatrix& solved, std::uint64_t& hash) {
  hash = output_.write(planned, solved, hash);
  const MatrixPlan& matrix = planned.matrix;
  LayerReport layer{
      matrix.module, planned.method, matrix.grid.bits, matrix.grid.group_size, matrix.rows, matrix.cols, 0,
      solved.report};
  layer.bits_per_weight = 8 * static_cast<double>(planned.stored_bytes) /
                          (static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols));
  log_.append(layer);
  meter_.matrix_done(planned);
  meter_.report(Phase::Solve, matrix.module, &solved.report);
  return layer;
}

/// H, and D where it is asked for, of the stage's inputs.
InputStatistics<float> Walk::collect(const PlannedStage& stage, const Operand& input) const {
  InputStatistics<float> statistics(context_, input.width, stage.moments);
  if (stage.moments == Moments::None) return statistics;
  const MatrixView<const float> X = quantised_->view(input);
  for (Index first = 0; first < X.rows; first += statistics_tokens) {
    const Index count = std::min(statistics_tokens, X.rows - first);
    if (stage.moments == Moments::Cross)
      statistics.add(X.middle_rows(first, count), full_->view(input).middle_rows(first, count));
    else
      statistics.add(X.middle_rows(first, count));
  }
  return statistics;
}

}  // namespace halftone
