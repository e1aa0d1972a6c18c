#include "pipeline/quantised_stream.hpp"

#include <map>
#include <utility>  // move

#include "pipeline/traced_stream.hpp"

namespace halftone {

/// Quantizers of a stage and what each derived from the statistics, one for each distinct method and options.
class StageSolvers {
 public:
  StageSolvers(const Context<Cpu>& context, const InputStatistics<float>& statistics, Trace* trace)
      : context_(context), statistics_(statistics), trace_(trace) {}

  QuantizedMatrix solve(const PlannedMatrix& planned, MatrixView<const float> W) {
    Entry& entry = entries_[{planned.method, planned.options}];
    if (!entry.quantizer) {
      entry.quantizer = make_quantizer(context_, planned.method, planned.options);
      Span span(trace_, "prepare");
      span.note("method", planned.method)
          .note("module", planned.matrix.module)
          .note("width", planned.matrix.cols)
          .note("flops", factor_flops(planned.moments, planned.matrix.cols));
      entry.prepared = entry.quantizer->prepare(statistics_);
    }
    Span span(trace_, "solve");
    span.note("module", planned.matrix.module)
        .note("method", planned.method)
        .note("rows", planned.matrix.rows)
        .note("cols", planned.matrix.cols)
        .note("flops", solve_flops(planned));
    return entry.quantizer->quantize(W, *entry.prepared);
  }

 private:
  struct Entry {
    std::unique_ptr<Quantizer> quantizer;
    std::unique_ptr<Prepared> prepared;
  };
  const Context<Cpu>& context_;
  const InputStatistics<float>& statistics_;
  Trace* trace_;
  std::map<std::pair<std::string, OptionMap>, Entry> entries_;
};

namespace {

/// Runs `work`; its errors name the module that they are about.
template <class Work>
auto about(const std::string& module, std::string_view what, Work&& work) {
  try {
    return work();
  } catch (const Error& error) {
    fail(error.status(), module, what, ": ", error.what());
  }
}

/// The last eighth of the windows, at least one: α and β are chosen by them. None of a single window.
Index held_out_tokens(Index tokens, Index length) {
  const Index windows = tokens / length;
  return windows < 2 ? 0 : std::max<Index>(1, windows / 8) * length;
}

Index last_block_with_hidden_states(const RunPlan& plan) {
  if (plan.tune.steps > 0) return static_cast<Index>(plan.blocks.size()) - 1;
  Index last = -1;
  for (std::size_t block = 0; block < plan.blocks.size(); ++block)
    for (const PlannedStage& stage : plan.blocks[block])
      if (stage.moments != Moments::None) last = static_cast<Index>(block);
  return last;
}

}  // namespace

QuantisedStream::QuantisedStream(const Context<Cpu>& context, const Model& model, const RunPlan& plan,
                                 MatrixView<const std::int32_t> ids, Trace* trace)
    : context_(context),
      model_(model),
      plan_(plan),
      trace_(trace),
      last_needed_(last_block_with_hidden_states(plan)),
      length_(ids.cols) {
  if (plan.streams() > 0) hidden_ = embedded(context, model, ids, trace);
}

void QuantisedStream::enter(Index block, std::optional<BlockWeights<float>> weights) {
  block_ = block;
  weights_ = std::move(weights);
  if (needed_in(block)) hidden_->enter(model_.program(block));
}

void QuantisedStream::solve(const PlannedStage& stage, const Stream<float>* full, const Solved& solved) {
  const BlockProgram& program = model_.program(block_);
  const Stage& place = program.stages[static_cast<std::size_t>(stage.stage)];
  if (stage.moments != Moments::None)
    advance(trace_, "quantised", block_, program, *hidden_, *weights_, place.first_op);
  const InputStatistics<float> statistics =
      about(stage.matrices.front().matrix.module, ", its inputs", [&] { return collect(stage, place.input, full); });
  StageSolvers solvers(context_, statistics, trace_);
  for (const PlannedMatrix& planned : stage.matrices) solved(planned, solve_one(planned, solvers));
}

QuantizedMatrix QuantisedStream::solve_one(const PlannedMatrix& planned, StageSolvers& solvers) {
  const auto solve = [&](MatrixView<const float> W) {
    return about(planned.matrix.module, "", [&] { return solvers.solve(planned, W); });
  };
  if (weights_) {
    QuantizedMatrix result = solve(weights_->linears[static_cast<std::size_t>(planned.linear)]);
    Span span(trace_, "decode");
    span.note("module", planned.matrix.module);
    replace(planned, find_format(plan_.format).stored_values(planned.matrix, result));
    return result;
  }
  const TensorSource& source = model_.checkpoint().tensors();
  const std::string tensor = planned.matrix.module + ".weight";
  const Matrix<float> W = about(planned.matrix.module, "", [&] {
    Span span(trace_, "read");
    span.note("module", planned.matrix.module).note("bytes", 4 * planned.matrix.rows * planned.matrix.cols);
    return source.matrix(tensor);
  });
  source.release(tensor);
  return solve(W);
}

void QuantisedStream::replace(const PlannedMatrix& planned, Matrix<float> values) {
  weights_->linears[static_cast<std::size_t>(planned.linear)] = std::move(values);
}

std::optional<BlockWeights<float>> QuantisedStream::leave() {
  if (needed_after(block_))
    advance(trace_, "quantised", block_, model_.program(block_), *hidden_, *weights_, model_.program(block_).size());
  else
    hidden_.reset();
  return std::exchange(weights_, std::nullopt);
}

void QuantisedStream::restart(Matrix<float> hidden) { hidden_.emplace(context_, std::move(hidden), length_); }

/// H, and D where it is asked for, of the stage's inputs.
InputStatistics<float> QuantisedStream::collect(const PlannedStage& stage, const Operand& input,
                                                const Stream<float>* full) const {
  Span span(trace_, "statistics");
  InputStatistics<float> statistics(context_, input.width, stage.moments);
  if (stage.moments == Moments::None) return statistics;
  const MatrixView<const float> X = hidden_->view(input);
  span.note("block", block_)
      .note("stage", Index{stage.stage})
      .note("width", input.width)
      .note("tokens", X.rows)
      .note("flops", statistics_flops(stage.moments, input.width, X.rows));
  const Index held_out = stage.moments == Moments::HeldOut ? held_out_tokens(X.rows, hidden_->length()) : 0;
  const Index learnt = X.rows - held_out;
  for (Index first = 0; first < X.rows;) {
    const Index end = std::min(first + statistics_tokens, first < learnt ? learnt : X.rows);
    const auto own = X.middle_rows(first, end - first);
    if (stage.moments < Moments::Cross)
      statistics.add(own);
    else if (first < learnt)
      statistics.add(own, full->view(input).middle_rows(first, end - first));
    else
      statistics.add_held_out(own, full->view(input).middle_rows(first, end - first));
    first = end;
  }
  return statistics;
}

LayerReport layer_report(const PlannedMatrix& planned, const SolveReport& solve) {
  const MatrixPlan& matrix = planned.matrix;
  LayerReport layer{
      matrix.module, planned.method, matrix.grid.bits, matrix.grid.group_size, matrix.rows, matrix.cols, 0, solve};
  layer.bits_per_weight = 8 * static_cast<double>(planned.stored_bytes) /
                          (static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols));
  layer.outlier_columns = matrix.outlier_columns;
  layer.code_bits_per_weight = planned.code_bits_per_weight();
  return layer;
}

}  // namespace halftone
