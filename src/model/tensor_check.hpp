// Does a checkpoint hold the tensors that its config promises, and no others? From the headers alone.
#pragma once

#include <string>
#include <vector>

#include "halftone/format/checkpoint.hpp"
#include "halftone/model/block_program.hpp"

namespace halftone::detail {

/// Throws Status::NotFound where there is no such tensor, Status::InvalidData where its shape differs or its
/// elements are no floating-point numbers.
void require_tensor(const Checkpoint& checkpoint, const std::string& name, const std::vector<Index>& shape);
/// The same for the weight [rows, cols] of a linear module, which may be stored quantised: then its format says the
/// shape, and checks that its tensors fit each other.
void require_linear(const Checkpoint& checkpoint, const std::string& module, Index rows, Index cols);
/// Everything that a block reads.
void require_block_tensors(const Checkpoint& checkpoint, const BlockProgram& program);
/// Throws Status::Unsupported for a tensor behind `blocks` ("model.layers.") that belongs to no module of any block:
/// the architecture would compute something else without it.
void require_known_tensors(const Checkpoint& checkpoint, const Architecture& architecture, const std::string& blocks,
                           const std::vector<BlockProgram>& programs);
/// Throws Status::InvalidData for an id that is not in 0 .. vocabulary − 1.
void require_ids(MatrixView<const std::int32_t> ids, Index vocabulary);

}  // namespace halftone::detail
