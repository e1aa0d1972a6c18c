// The quantised stream on the CPU, compiled once.
#include "pipeline/quantised_stream.impl.hpp"

namespace halftone {

template class QuantisedStream<Cpu>;

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
