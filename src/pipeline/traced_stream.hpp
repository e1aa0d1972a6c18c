// The beginning of a stream and its way from operation to operation, as spans of a trace.
#pragma once

#include "halftone/model/model.hpp"
#include "halftone/model/stream.hpp"
#include "halftone/pipeline/trace.hpp"
#include "pipeline/plan_cost.hpp"
#include "pipeline/walk_contexts.hpp"

namespace halftone {

/// How a run's streams are kept, with what they multiply.
inline StreamOptions stream_options(const RunPlan& plan, StreamOptions options = {}) {
  options.products = plan.products;
  return options;
}

/// A stream before block 0. ids [windows, length].
template <class Backend>
Stream<float, Backend> embedded(const WalkContexts<Backend>& contexts, const Model& model,
                                MatrixView<const std::int32_t> ids, Trace* trace, const StreamOptions& options = {}) {
  Span span(trace, "embed");
  span.note("tokens", ids.rows * ids.cols);
  return {contexts.backend, model.embed(contexts.host, ids), ids.cols, options};
}

/// stream.advance(weights, target) inside block `block` of the model. `which`: "full", "quantised" or "ahead".
template <class S, class Backend>
void advance(Trace* trace, std::string_view which, Index block, const BlockProgram& program, Stream<S, Backend>& stream,
             const BlockWeights<S, Backend>& weights, Index target) {
  Span span(trace, "forward");
  if (trace != nullptr)
    span.note("stream", which)
        .note("block", block)
        .note("first_op", stream.at())
        .note("last_op", target)
        .note("flops", forward_flops(program, stream.at(), target, stream.tokens(), stream.length()));
  stream.advance(weights, target);
}

}  // namespace halftone
