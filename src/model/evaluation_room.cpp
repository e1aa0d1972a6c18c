#include "model/evaluation_room.hpp"

#include <algorithm>  // max, min

#include "halftone/backend/cuda.hpp"
#include "model/block_bytes.hpp"
#include "model/logit_scores.hpp"

namespace halftone {

Index head_bytes(const Model& model) {
  const ModelConfig& config = model.config();
  const Index project = config.embedding_width == config.hidden ? 0 : config.hidden * config.embedding_width;
  return 4 * (model.vocabulary() * config.embedding_width + project);
}

Index logit_bytes(const Model& model, Index tokens) {
  const Index inputs = 2 * std::max(model.config().hidden, model.config().embedding_width);  // normed, projected
  return 4 * logit_chunk<Cuda>(tokens, model.vocabulary()) * (model.vocabulary() + inputs);
}

EvaluationRoom evaluation_room(const Model& model, MatrixView<const std::int32_t> ids, const Model* reference,
                               Index memory_limit) {
  const Index length = ids.cols - 1, tokens = ids.rows * length;
  const Index chunk = std::min(tokens, chunk_windows<Cuda>(length) * length);
  Index moving = 0, predicting = 0, of_token = 0, waiting = 0;  // the reference moves while the model's stream waits
  for (const Model* each : {&model, reference}) {
    if (each == nullptr) continue;
    for (Index block = 0; block < each->blocks(); ++block) {
      const BlockProgram& program = each->program(block);
      moving = std::max(moving, 2 * parameter_bytes(program) + chunk_bytes(program, chunk, ProductType::Float));
      of_token = std::max(of_token, waiting + token_bytes(program));
    }
    predicting += head_bytes(*each) + logit_bytes(*each, tokens);
    waiting += 4 * each->config().hidden;
  }
  const Index fixed = std::max(moving, predicting) + device_slack;
  return {resident_tokens(memory_limit - fixed, of_token, tokens), fixed <= memory_limit};
}

}  // namespace halftone
