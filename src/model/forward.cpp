// Blocks and streams on the CPU, compiled once.
#include "model/executor.impl.hpp"
#include "model/stream.impl.hpp"

namespace halftone {

template class BlockRunner<float, Cpu>;
template class BlockRunner<double, Cpu>;
template class Stream<float, Cpu>;
template class Stream<double, Cpu>;

Index stream_bytes(const BlockProgram& program, Index tokens, Index length, int threads) {
  return detail::stream_bytes(program, tokens, length, chunk_windows<Cpu>(length), threads);
}

}  // namespace halftone
