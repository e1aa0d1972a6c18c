// What a run tells its caller while it works, and how the caller stops it.
#pragma once

#include <functional>
#include <string_view>

#include "halftone/quant/quantized_matrix.hpp"

namespace halftone {

enum class Phase : std::uint8_t {
  Open = 0,      ///< reading and hashing the checkpoint, copying what stays as it is
  Replay = 1,    ///< resume: running the streams through blocks that an earlier run finished
  Collect = 2,   ///< running the streams to the inputs of a stage
  Solve = 3,     ///< a layer was solved: `module` and `report` are set
  Write = 4,     ///< a block was written and recorded; of a comparison: a block is done
  Evaluate = 5,  ///< of a comparison: logits of the evaluation's windows
  Tune = 6,      ///< a step of fine-tuning
};
template <>
struct EnumWords<Phase> {
  static constexpr std::string_view values[] = {"open", "replay", "collect", "solve", "write", "evaluate", "tune"};
};

/// A step of fine-tuning a window of blocks.
struct TuningStep {
  Index first = 0, last = 0;  ///< blocks [first, last) are trained
  int step = 0, steps = 0;    ///< 1 .. steps
  double loss = 0;            ///< of the step's batch: Σ g² (y − target)² / Σ g² target²
};

struct Progress {
  Phase phase = Phase::Open;
  Index blocks_done = 0, blocks = 0;  ///< transformer layers
  Index matrices_done = 0, matrices = 0;
  double seconds = 0;                   ///< since this run began
  double seconds_left = -1;             ///< estimate; negative while there is nothing to go by
  std::string_view module;              ///< layer just solved; else empty
  const SolveReport* report = nullptr;  ///< of that layer; else null
  const TuningStep* tuning = nullptr;   ///< in Phase::Tune; else null
};

/// Called on the thread that runs the walk, often (several times a second or once a chunk of work). Returns false to
/// stop: the run then ends with Status::Cancelled after the current layer, and what is finished stays for a resume.
using ProgressCallback = std::function<bool(const Progress&)>;

}  // namespace halftone
