// Bytes of memory that a block's weights and the tokens on their way through it take, and how many tokens' hidden
// states a device has room for.
#pragma once

#include "halftone/model/block_program.hpp"
#include "halftone/model/stream.hpp"

namespace halftone {

/// Of a block's weights in float.
Index parameter_bytes(const BlockProgram& program);
/// Of a token in the slots that live at the beginning or the end of the way to some stage, the most of all.
Index token_bytes(const BlockProgram& program);
/// Of a chunk of tokens on its way through a block, every slot of it, and what of it is rounded: a linear's input, the
/// widest.
Index chunk_bytes(const BlockProgram& program, Index tokens, ProductType products);

/// What no count of numbers says of a device's memory: work space of the libraries, blocks that are rounded up.
inline constexpr Index device_slack = 256'000'000;
/// Of `tokens` tokens, of which each takes `token_bytes`, as many as fit in `bytes`, which may be less than none.
Index resident_tokens(Index bytes, Index token_bytes, Index tokens);

}  // namespace halftone
