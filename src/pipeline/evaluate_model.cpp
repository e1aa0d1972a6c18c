#include "halftone/pipeline/evaluate_model.hpp"

#include "model/logit_scores.hpp"
#include "pipeline/walk_device.hpp"

namespace halftone {

Evaluation evaluate_model(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                          const Model* reference, const EvaluationProgress& progress, const ComputeDevice& device) {
  const auto opened = open_walk_device(device);
  if (!opened) return evaluate(context, model, ids, reference, progress);
  require_evaluable(model, ids, reference);
  return opened->evaluate(context, model, ids, reference, progress);
}

}  // namespace halftone
