// Numbers of every token of a stream: as many as fit in the memory of the backend, the others on the host.
#pragma once

#include "halftone/backend/spillable_matrix.hpp"

namespace halftone {

/// [tokens, width].
template <class S, class Backend = Cpu>
using TokenMatrix = SpillableMatrix<S, Backend>;

}  // namespace halftone
