// Gradients of blocks and of chains of them on the CUDA backend, compiled once: the same templates as on the CPU.
#include "halftone/backend/cuda_nn_backward.hpp"
#include "model/backward.impl.hpp"
#include "model/block_chain.impl.hpp"

namespace halftone {

template class Buffers<float, Cuda>;
template class BackwardRunner<float, Cuda>;
template class BlockChain<float, Cuda>;
template BackwardBytes backward_bytes(const Context<Cuda>&, const BlockProgram&, const BackwardPlan&, Index, Index);

}  // namespace halftone
