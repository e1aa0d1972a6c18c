#include "pipeline/folder_output.hpp"

#include <utility>  // exchange

#include "pipeline/xxh64.hpp"

namespace halftone {

FolderOutput::FolderOutput(const RunPlan& plan, OutputModel& output, Journal& journal, WindowStore& windows,
                           const std::filesystem::path& folder, Trace* trace)
    : output_(output),
      journal_(journal),
      windows_(windows),
      log_(folder),
      trace_(trace),
      finished_(static_cast<Index>(journal.blocks().size())) {
  for (Index block = 0; block < finished_; ++block)
    for (const PlannedStage& stage : plan.blocks[static_cast<std::size_t>(block)])
      for (const PlannedMatrix& planned : stage.matrices) output_.mark_written(planned);
  for (const LayerReport& layer : finished_layers(journal)) log_.append(layer);
}

void FolderOutput::write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) {
  hash_ = output_.write(planned, solved, hash_);
  log_.append(layer);
  layers_.push_back(layer);
}

void FolderOutput::block_done(Index block) {
  output_.sync();
  Span span(trace_, "journal");
  span.note("block", block);
  journal_.append({block, hex(std::exchange(hash_, 0)), std::exchange(layers_, {})});
}

void FolderOutput::keep_window(std::size_t window, const SolvedMatrices& matrices) {
  Span span(trace_, "keep");
  span.note("window", static_cast<Index>(window));
  windows_.keep(window, matrices);
}

std::vector<LayerReport> finished_layers(const Journal& journal) {
  std::vector<LayerReport> layers;
  for (const JournalBlock& block : journal.blocks())
    layers.insert(layers.end(), block.layers.begin(), block.layers.end());
  return layers;
}

}  // namespace halftone
