// Evaluation on the CPU, compiled once.
#include "halftone/model/evaluation.hpp"

#include "model/evaluation.impl.hpp"

namespace halftone {

template class Predictor<Cpu>;

Evaluation evaluate(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                    const Model* reference, const EvaluationProgress& progress) {
  require_evaluable(model, ids, reference);
  return evaluate_on(context, context, model, ids, reference, progress);
}

}  // namespace halftone
