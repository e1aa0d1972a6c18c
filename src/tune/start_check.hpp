// What a matrix must be that training starts from.
#pragma once

#include "halftone/tune/trainable.hpp"

namespace halftone::tune {

/// Of make_trainable: everything but whether the target is finite. Throws what it says.
void check_start(Index target_rows, Index target_cols, const QuantizedMatrix& start, const TrainableOptions& options);

}  // namespace halftone::tune
