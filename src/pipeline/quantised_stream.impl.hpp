// The bodies of quantised_stream.hpp, which each backend compiles once.
#pragma once

#include <map>
#include <utility>  // move

#include "model/move_to.hpp"
#include "model/with_room.hpp"
#include "pipeline/plan_cost.hpp"
#include "pipeline/quantised_stream.hpp"
#include "pipeline/traced_stream.hpp"

namespace halftone {

/// Quantizers of a stage and what each derived from the statistics, one for each distinct method and options.
template <class Backend>
class QuantisedStream<Backend>::StageSolvers {
 public:
  StageSolvers(const Context<Backend>& context, const Statistics& statistics, Trace* trace)
      : context_(context), statistics_(statistics), trace_(trace) {}

  QuantizedMatrix solve(const PlannedMatrix& planned, const typename Backend::template Matrix<float>& W) {
    Entry& entry = entries_[{planned.method, planned.options}];
    if (!entry.prepared) {
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
    decltype(make_quantizer(std::declval<const Context<Backend>&>(), "", OptionMap())) quantizer;
    std::unique_ptr<Prepared> prepared;
  };
  const Context<Backend>& context_;
  const Statistics& statistics_;
  Trace* trace_;
  std::map<std::pair<std::string, OptionMap>, Entry> entries_;
};

namespace detail {

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
inline Index held_out_tokens(Index tokens, Index length) {
  const Index windows = tokens / length;
  return windows < 2 ? 0 : std::max<Index>(1, windows / 8) * length;
}

inline Index last_block_with_hidden_states(const RunPlan& plan) {
  if (plan.tune.steps > 0) return static_cast<Index>(plan.blocks.size()) - 1;
  Index last = -1;
  for (std::size_t block = 0; block < plan.blocks.size(); ++block)
    for (const PlannedStage& stage : plan.blocks[block])
      if (stage.moments != Moments::None) last = static_cast<Index>(block);
  return last;
}

}  // namespace detail

template <class Backend>
QuantisedStream<Backend>::QuantisedStream(const WalkContexts<Backend>& contexts, const Model& model,
                                          const RunPlan& plan, MatrixView<const std::int32_t> ids, Trace* trace,
                                          const StreamOptions& options)
    : contexts_(contexts),
      model_(model),
      plan_(plan),
      trace_(trace),
      last_needed_(detail::last_block_with_hidden_states(plan)),
      length_(ids.cols),
      options_(stream_options(plan, options)) {
  if (plan.streams() > 0) hidden_ = embedded(contexts, model, ids, trace, options_);
}

template <class Backend>
void QuantisedStream<Backend>::enter(Index block, Weights weights) {
  block_ = block;
  weights_ = std::move(weights);
  if (needed_in(block)) hidden_->enter(model_.program(block));
}

template <class Backend>
void QuantisedStream<Backend>::enter(Index block, Read read) {
  block_ = block;
  read_ = std::move(read);
}

template <class Backend>
void QuantisedStream<Backend>::solve(const PlannedStage& stage, Stream<float, Backend>* full, const Solved& solved) {
  const BlockProgram& program = model_.program(block_);
  const Stage& place = program.stages[static_cast<std::size_t>(stage.stage)];
  if (stage.moments != Moments::None)
    advance(trace_, "quantised", block_, program, *hidden_, *weights_, place.first_op);
  Statistics statistics = detail::about(stage.matrices.front().matrix.module, ", its inputs", [&] {
    return with_room(full, nullptr, [&] { return collect(stage, place.input, full); });
  });
  if (stage.spill_sums) statistics.spill();
  StageSolvers solvers(contexts_.backend, statistics, trace_);
  for (const PlannedMatrix& planned : stage.matrices) {
    QuantizedMatrix result = solve_one(planned, full, statistics, solvers);
    for (std::string& note : room_notes_) result.report.notes.push_back(std::move(note));
    room_notes_.clear();
    solved(planned, result);
  }
}

/// Does work that takes memory of the backend. Where there is not enough left hidden states make room, then the sums of
/// the stage, if there are such, and it is done anew.
template <class Backend>
template <class Work>
auto QuantisedStream<Backend>::with_room(Stream<float, Backend>* full, Statistics* sums, Work&& work) {
  return detail::with_room(work, [&] { return make_room(full, sums); });
}

/// False if there is nothing left to move to the host.
template <class Backend>
bool QuantisedStream<Backend>::make_room(Stream<float, Backend>* full, Statistics* sums) {
  const bool own = spill_hidden(), other = full != nullptr && full->spill();
  if (own || other)
    room_notes_.push_back(hidden_states_moved);
  else if (sums != nullptr && sums->spill())
    room_notes_.push_back("the device's memory was short: the sums of this stage are in host memory");
  else
    return false;
  return true;
}

template <class Backend>
QuantizedMatrix QuantisedStream<Backend>::solve_one(const PlannedMatrix& planned, Stream<float, Backend>* full,
                                                    Statistics& sums, StageSolvers& solvers) {
  const auto solve = [&](const typename Backend::template Matrix<float>& W) {
    return detail::about(planned.matrix.module, "",
                         [&] { return with_room(full, &sums, [&] { return solvers.solve(planned, W); }); });
  };
  if (weights_) {
    const auto linear = static_cast<std::size_t>(planned.linear);
    QuantizedMatrix result = weights_->is_half(linear) ? solve(with_room(full, &sums, [&] { return widened(linear); }))
                                                       : solve(weights_->linears[linear]);
    Span span(trace_, "decode");
    span.note("module", planned.matrix.module);
    put(linear, with_room(full, &sums, [&] { return stored_values(planned, result); }));
    return result;
  }
  Matrix<float> W = detail::about(planned.matrix.module, "", [&] { return read_(planned); });
  return solve(detail::moved_to(contexts_.backend, std::move(W)));
}

template <class Backend>
auto QuantisedStream<Backend>::stored_values(const PlannedMatrix& planned, const QuantizedMatrix& solved) const
    -> There {
  const Format& format = find_format(plan_.format);
  if constexpr (std::is_same_v<Backend, Cpu>)
    return format.stored_values(planned.matrix, solved);
  else if (format.stores_codes())
    return dequantize(contexts_.backend, solved);
  else
    return detail::moved_to(contexts_.backend, format.stored_values(planned.matrix, solved));
}

template <class Backend>
void QuantisedStream<Backend>::replace(const PlannedMatrix& planned, Matrix<float> values) {
  const auto linear = static_cast<std::size_t>(planned.linear);
  weights_->linears[linear] = {};  // before there is another
  put(linear, detail::moved_to(contexts_.backend, std::move(values)));
}

/// A linear that is held in bfloat16.
template <class Backend>
auto QuantisedStream<Backend>::widened(std::size_t linear) const -> There {
  const MatrixView<const BFloat16> half = weights_->halves[linear].view();
  There W = contexts_.backend.template allocate<float>(half.rows, half.cols);
  convert(contexts_.backend, half, W.view());
  return W;
}

/// Puts values in a linear's place; in bfloat16 where it was so.
template <class Backend>
void QuantisedStream<Backend>::put(std::size_t linear, There values) {
  if (weights_->is_half(linear))
    narrow(contexts_.backend, std::as_const(values).view(), weights_->halves[linear].view());
  else
    weights_->linears[linear] = std::move(values);
}

template <class Backend>
auto QuantisedStream<Backend>::leave() -> std::optional<Weights> {
  if (needed_after(block_))
    advance(trace_, "quantised", block_, model_.program(block_), *hidden_, *weights_, model_.program(block_).size());
  else
    hidden_.reset();
  return std::exchange(weights_, std::nullopt);
}

template <class Backend>
void QuantisedStream<Backend>::restart(TokenMatrix<float, Backend> hidden) {
  hidden_.emplace(contexts_.backend, std::move(hidden), length_, options_);
}

/// H, and D where it is asked for, of the stage's inputs.
template <class Backend>
auto QuantisedStream<Backend>::collect(const PlannedStage& stage, const Operand& input, Stream<float, Backend>* full)
    -> Statistics {
  Span span(trace_, "statistics");
  Statistics statistics(contexts_.backend, input.width, stage.moments, plan_.products);
  if (stage.moments == Moments::None) return statistics;
  const Index tokens = hidden_->tokens();
  span.note("block", block_)
      .note("stage", Index{stage.stage})
      .note("width", input.width)
      .note("tokens", tokens)
      .note("flops", statistics_flops(stage.moments, input.width, tokens));
  const Index held_out = stage.moments == Moments::HeldOut ? detail::held_out_tokens(tokens, length_) : 0;
  const Index learnt = tokens - held_out;
  for (Index first = 0; first < tokens;) {
    const auto end_behind = [&](Index from) {
      return std::min(from + statistics_tokens, from < learnt ? learnt : tokens);
    };
    const Index end = end_behind(first), ahead = end < tokens ? end_behind(end) - end : 0;
    const auto rows = [&](Stream<float, Backend>& stream) { return stream.rows(input, first, end - first, ahead); };
    const auto own = rows(*hidden_);
    if (stage.moments < Moments::Cross)
      statistics.add(own);
    else if (first < learnt)
      statistics.add(own, rows(*full));
    else
      statistics.add_held_out(own, rows(*full));
    first = end;
  }
  hidden_->release_rows();
  if (full != nullptr) full->release_rows();
  return statistics;
}

}  // namespace halftone
