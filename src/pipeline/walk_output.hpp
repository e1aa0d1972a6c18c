// Where a walk over a model puts what it solves: a folder (folder_output.hpp) or a program (receiver_output.hpp).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>  // pair
#include <vector>

#include "halftone/pipeline/plan.hpp"
#include "halftone/pipeline/report.hpp"

namespace halftone {

/// Matrices as they are solved and trained so far. Both must outlive the list.
using SolvedMatrices = std::vector<std::pair<const PlannedMatrix*, const QuantizedMatrix*>>;

/// What an earlier run kept of a window of tuning: matrices of its blocks, by module.
struct KeptWindow {
  std::size_t window = 0;
  std::map<std::string, QuantizedMatrix, std::less<>> matrices;
};

/// Called on the thread that runs the walk.
class WalkOutput {
 public:
  virtual ~WalkOutput() = default;
  /// Blocks 0, 1, ... that are there already, whose matrices the walk does not solve again.
  virtual Index finished_blocks() const = 0;
  /// What an engine will compute with, of a matrix in such a block.
  virtual Matrix<float> stored_values(const PlannedMatrix& planned) const = 0;
  /// Takes a solved matrix and its row of the report. What the format's reader gets back must be what was solved, or
  /// Status::Internal is thrown.
  virtual void write(const PlannedMatrix& planned, const QuantizedMatrix& solved, const LayerReport& layer) = 0;
  /// All matrices of the block are written: it is to be recorded.
  virtual void block_done(Index block) = 0;
  /// True once a block of block_done is recorded for good. An output that works while the walk goes on
  /// (write_behind.hpp) also throws here what went wrong meanwhile.
  virtual bool recorded(Index /*block*/) const { return true; }
  /// Waits for that.
  virtual void wait_recorded(Index /*block*/) {}

  /// Keeps, in the place of any other, all matrices of a window of tuning that has been trained, later ones of which
  /// train some: a resumed run goes on behind it. An output that does not resume need not.
  virtual void keep_window(std::size_t /*window*/, const SolvedMatrices& /*matrices*/) {}
  /// The one that an earlier run kept, if it did. Asked for once.
  virtual std::optional<KeptWindow> kept_window() { return std::nullopt; }
};

}  // namespace halftone
