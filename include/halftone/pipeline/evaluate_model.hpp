// How well a model predicts held-out text, computed where the caller says.
#pragma once

#include "halftone/backend/compute_device.hpp"
#include "halftone/model/evaluation.hpp"

namespace halftone {

/// `evaluate` (model/evaluation.hpp) on a device: there are the weights, multiplied as floats, the hidden states, as
/// far as its memory has room for them, and the logits; the measures of each token come to the host. Nearly the CPU's
/// numbers: sums are taken in another order. Throws what `evaluate` and Context<Cuda> throw; Status::OutOfMemory only
/// where the device has no room for one block, or for the head, with one window's tokens.
Evaluation evaluate_model(const Context<Cpu>& context, const Model& model, MatrixView<const std::int32_t> ids,
                          const Model* reference = nullptr, const EvaluationProgress& progress = {},
                          const ComputeDevice& device = {});

}  // namespace halftone
