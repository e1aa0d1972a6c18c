#include "pipeline/write_behind.hpp"

#include <algorithm>  // max
#include <limits>
#include <memory>

namespace halftone {
namespace {

Index codes_of(const PlannedMatrix& planned) { return planned.matrix.rows * planned.matrix.cols; }

}  // namespace

Index most_codes_of_a_block(const RunPlan& plan) {
  Index most = 0;
  for (const auto& stages : plan.blocks) {
    Index codes = 0;
    for (const PlannedStage& stage : stages)
      for (const PlannedMatrix& planned : stage.matrices) codes += codes_of(planned);
    most = std::max(most, codes);
  }
  return most;
}

WriteBehind::WriteBehind(WalkOutput& output, const RunPlan& plan, Trace* trace)
    : output_(output),
      last_tasks_(plan.blocks.size(), std::numeric_limits<Index>::max()),
      writer_("writer", most_codes_of_a_block(plan), trace) {}

void WriteBehind::write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) {
  const auto matrix = std::make_shared<const QuantizedMatrix>(solved);
  writer_.submit(codes_of(planned), [this, &planned, matrix, layer] { output_.write(planned, *matrix, layer); });
}

void WriteBehind::block_done(Index block) {
  last_tasks_[static_cast<std::size_t>(block)] = writer_.submit(0, [this, block] { output_.block_done(block); });
}

}  // namespace halftone
