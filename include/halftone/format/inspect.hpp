// What a checkpoint holds, from its headers and config alone.
#pragma once

#include <string>
#include <vector>

#include "halftone/format/checkpoint.hpp"

namespace halftone {

struct Inspection {
  std::string format;                  ///< word of the command; "dense" where nothing is quantised
  std::vector<TensorInfo> tensors;     ///< sorted by name
  std::vector<StoredMatrix> matrices;  ///< quantised and dense ones, by module: layers.2 before layers.10
  std::int64_t bytes = 0;              ///< of all tensors
  std::int64_t weights = 0;            ///< numbers that all tensors stand for: a packed matrix counts out · in
  std::int64_t quantized_weights = 0;  ///< of quantised matrices
  std::int64_t quantized_bytes = 0;    ///< of the tensors that hold them: scales, zeros and indices included

  /// Bits of a weight of the quantised matrices, everything stored included; 0 where there are none.
  double bits_per_weight() const;
  /// The same of the whole checkpoint.
  double model_bits_per_weight() const;
};

/// Reads headers only: as fast for 70 billion weights as for 70. Throws Status::InvalidData for tensors of a quantised
/// matrix that do not fit each other.
Inspection inspect(const Checkpoint& checkpoint);

}  // namespace halftone
