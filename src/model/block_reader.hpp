// The weights of a model's blocks, one after the other, where a backend computes.
#pragma once

#include <future>
#include <utility>  // move

#include "model/weights_ahead.hpp"

namespace halftone {

/// Those of the next block are read and copied over by a thread of their own while the present block is computed.
template <class Backend>
class BlockReader {
 public:
  /// `room`: there is some for two blocks. What a program holds in its own memory is read when it is asked for, on the
  /// thread that asks (host_tensors.hpp). All arguments must outlive the object.
  BlockReader(const Context<Cpu>& host, const Context<Backend>& context, const Model& model, bool room)
      : host_(host),
        model_(model),
        ahead_(room && !model.checkpoint().directory().empty()),
        arriving_(context, model, ProductType::Float, ahead_) {}

  /// Blocks are asked for in their order. Throws what Model::load_block throws.
  BlockWeights<float, Backend> take(Index block) {
    BlockWeights<float> read = next_.valid() ? next_.get() : model_.load_block(host_, block);
    BlockWeights<float, Backend> weights = arriving_.take(block, std::move(read));
    if (ahead_ && block + 1 < model_.blocks()) read_ahead(block + 1);
    return weights;
  }

 private:
  void read_ahead(Index block) {
    arriving_.expect(block);
    next_ = std::async(std::launch::async, [this, block] {
      BlockWeights<float> read = model_.load_block(host_, block);
      arriving_.carry(block, read);
      return read;
    });
  }

  const Context<Cpu>& host_;
  const Model& model_;
  bool ahead_;
  WeightsAhead<Backend> arriving_;
  std::future<BlockWeights<float>> next_;  // last: it waits, and its thread uses what is above
};

/// On the CPU one block is in memory at a time.
template <>
class BlockReader<Cpu> {
 public:
  BlockReader(const Context<Cpu>& host, const Context<Cpu>&, const Model& model, bool) : host_(host), model_(model) {}
  BlockWeights<float> take(Index block) { return model_.load_block(host_, block); }

 private:
  const Context<Cpu>& host_;
  const Model& model_;
};

}  // namespace halftone
