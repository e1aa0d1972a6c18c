// A block's weights where a backend computes. Those of the next block are copied there by the thread that reads them,
// beside what the backend is doing for the present one.
#pragma once

#include <optional>
#include <utility>  // move

#include "halftone/backend/copier.hpp"
#include "halftone/model/model.hpp"
#include "model/move_to.hpp"

namespace halftone {

/// What is done to a block's weights beside the walk once they are read.
class BlockCarrier {
 public:
  virtual ~BlockCarrier() = default;
  /// The block will be read next: on the walk's thread, before that begins.
  virtual void expect(Index block) = 0;
  /// It was: on the thread that reads.
  virtual void carry(Index block, BlockWeights<float>& read) = 0;
};

template <class Backend>
class WeightsAhead final : public BlockCarrier {
 public:
  /// `wanted`: false where the backend's memory has no room for two blocks; each is then copied when it is taken.
  /// `products`: what the blocks are read for, as of Model::load_block.
  WeightsAhead(const Context<Backend>& context, const Model& model, ProductType products, bool wanted)
      : context_(context), model_(model), products_(products) {
    if (wanted) copier_.emplace(context);
  }

  /// Makes room for the weights that are read next. On the walk's thread.
  void expect(Index next) override {
    if (!copier_) return;
    arrived_ = std::move(expected_);
    expected_ = {next, {}, false};
    try {
      expected_.weights = allocated(model_.program(next));
    } catch (const Error& error) {
      if (error.status() != Status::OutOfMemory) throw;
      expected_ = {};
    }
    context_.synchronize();  // nothing queued may still use that memory
  }
  /// Copies them, and leaves `read` empty. On the reader's thread.
  void carry(Index block, BlockWeights<float>& read) override {
    if (expected_.block != block) return;
    const auto each = [&](auto& from, auto& to) {
      for (std::size_t i = 0; i < from.size(); ++i) {
        copier_->upload(std::as_const(from[i]).view(), to[i].view());
        from[i] = {};
      }
    };
    each(read.linears, expected_.weights.linears);
    each(read.biases, expected_.weights.biases);
    each(read.parameters, expected_.weights.parameters);
    each(read.halves, expected_.weights.halves);
    expected_.carried = true;
  }
  /// The block's weights: those that were carried, or a copy of `read`.
  BlockWeights<float, Backend> take(Index block, BlockWeights<float> read) {
    for (Carried* held : {&arrived_, &expected_})
      if (held->block == block && held->carried) return std::move(std::exchange(*held, {}).weights);
    return detail::moved_to(context_, std::move(read));
  }

 private:
  struct Carried {
    Index block = -1;
    BlockWeights<float, Backend> weights;
    bool carried = false;
  };

  BlockWeights<float, Backend> allocated(const BlockProgram& program) const {
    BlockWeights<float, Backend> weights;
    for (const LinearInfo& linear : program.linears) {
      const bool half = products_ == ProductType::BFloat16 && model_.is_half(linear);
      weights.linears.push_back(context_.template allocate<float>(half ? 0 : linear.rows, half ? 0 : linear.cols));
      weights.halves.push_back(context_.template allocate<BFloat16>(half ? linear.rows : 0, half ? linear.cols : 0));
      weights.biases.push_back(context_.template allocate<float>(linear.bias ? 1 : 0, linear.bias ? linear.rows : 0));
    }
    for (const ParameterInfo& parameter : program.parameters)
      weights.parameters.push_back(context_.template allocate<float>(1, parameter.width));
    if (products_ == ProductType::Float) weights.halves.clear();
    return weights;
  }

  const Context<Backend>& context_;
  const Model& model_;
  ProductType products_;
  std::optional<Copier<Backend>> copier_;
  Carried arrived_, expected_;  // the reader's thread touches only the second, between expect and the end of its read
};

/// On the CPU weights are where they were read.
template <>
class WeightsAhead<Cpu> final : public BlockCarrier {
 public:
  WeightsAhead(const Context<Cpu>&, const Model&, ProductType, bool) {}
  void expect(Index) override {}
  void carry(Index, BlockWeights<float>&) override {}
  BlockWeights<float> take(Index, BlockWeights<float> read) { return read; }
};

}  // namespace halftone
