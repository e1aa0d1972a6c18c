// What an evaluation may take of a device's memory.
#pragma once

#include <limits>

#include "halftone/model/model.hpp"

namespace halftone {

struct EvaluationRoom {
  Index resident = std::numeric_limits<Index>::max();  ///< tokens whose hidden states stay with the backend
  bool ahead = true;                                   ///< there is room for a second block, which is read ahead
};

/// Of a device with `memory_limit` bytes. ids [windows, length]: as `evaluate` takes them. `reference` may be null.
EvaluationRoom evaluation_room(const Model& model, MatrixView<const std::int32_t> ids, const Model* reference,
                               Index memory_limit);
/// Bytes of the head, and of the logits of a chunk of `tokens` tokens with what they are made of.
Index head_bytes(const Model& model);
Index logit_bytes(const Model& model, Index tokens);

}  // namespace halftone
