// make_trainable, which each backend compiles once.
#pragma once

#include "tune/start_check.hpp"
#include "tune/trained_matrix.hpp"

namespace halftone {

template <class Backend>
std::unique_ptr<Trainable> make_trainable(const Context<Backend>& context, MatrixView<const float> target,
                                          const QuantizedMatrix& start, const TrainableOptions& options) {
  tune::check_start(target.rows, target.cols, start, options);
  if (const auto bad = find_nonfinite(context, target))
    fail(Status::InvalidData, "tune: a weight is not finite at row ", bad->row, ", column ", bad->column);
  using namespace tune;
  if (start.binary_coded()) return std::make_unique<TrainedMatrix<Backend, Binary>>(context, target, start, options);
  if (options.kind == TrainableKind::SignRound)
    return std::make_unique<TrainedMatrix<Backend, SignRound>>(context, target, start, options);
  if (options.kind == TrainableKind::Lsq)
    return std::make_unique<TrainedMatrix<Backend, Lsq>>(context, target, start, options);
  return std::make_unique<TrainedMatrix<Backend, Latent>>(context, target, start, options);
}

}  // namespace halftone
