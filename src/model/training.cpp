// Gradients of blocks and of chains of them on the CPU, compiled once.
#include "model/backward.impl.hpp"
#include "model/block_chain.impl.hpp"

namespace halftone {

template class Buffers<float, Cpu>;
template class Buffers<double, Cpu>;
template class BackwardRunner<float, Cpu>;
template class BackwardRunner<double, Cpu>;
template class BlockChain<float, Cpu>;
template class BlockChain<double, Cpu>;
template BackwardBytes backward_bytes(const Context<Cpu>&, const BlockProgram&, const BackwardPlan&, Index, Index);

}  // namespace halftone
