// A transformer over a checkpoint: what its blocks are, and their weights one block at a time.
#pragma once

#include <string>
#include <vector>

#include "halftone/format/checkpoint.hpp"
#include "halftone/model/config.hpp"
#include "halftone/model/executor.hpp"

namespace halftone {

/// What stands behind the last block, where a backend computes: norm, projection (OPT-350m), head.
template <class Backend = Cpu>
struct HeadWeights {
  using Matrix = typename Backend::template Matrix<float>;
  Matrix norm, norm_bias;  ///< [1, hidden]; empty where there is none
  Matrix project;          ///< [embedding width, hidden]; empty where there is none
  Matrix head;             ///< [vocabulary, embedding width]
  Matrix head_bias;        ///< [1, vocabulary]; empty where there is none
};

class Model {
 public:
  /// Reads config and headers only; every tensor that the architecture needs is looked up and its shape compared.
  /// Throws what read_model_config does; Status::NotFound for missing tensors, Status::InvalidData for wrong shapes and
  /// for tensors of a block that the architecture does not know. The checkpoint must outlive the model.
  explicit Model(const Checkpoint& checkpoint);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const ModelConfig& config() const { return config_; }
  Index blocks() const { return config_.blocks; }
  Index vocabulary() const { return config_.vocabulary; }
  /// Blocks may differ (windows), their linears' shapes and stages do not.
  const BlockProgram& program(Index block) const { return programs_[static_cast<std::size_t>(block)]; }

  /// Hidden state before block 0, [windows · length, hidden]. ids [windows, length]. Throws Status::InvalidData for an
  /// id outside 0 .. vocabulary − 1, Status::InvalidArgument for windows longer than the table of learned positions,
  /// Status::Unsupported for a model that reads images.
  Matrix<float> embed(const Context<Cpu>& context, MatrixView<const std::int32_t> ids) const;
  /// The same of a model that reads images: [images · config().image.tokens(), hidden], one window an image. pixels
  /// [images, channels · height · width], each [channels, height, width] as the model was trained to see them (scaled,
  /// mean and deviation of each channel taken out). Throws Status::ShapeMismatch, Status::InvalidData for NaN and
  /// infinities, Status::Unsupported for a model that reads token ids.
  Matrix<float> embed_images(const Context<Cpu>& context, MatrixView<const float> pixels) const;
  /// The weights of one block, quantised ones decoded; what was read of the checkpoint is released. Throws
  /// Status::InvalidData for NaN, infinities and wrong shapes. `products` BFloat16: linears that are stored so come as
  /// BlockWeights::halves.
  BlockWeights<float> load_block(const Context<Cpu>& context, Index block,
                                 ProductType products = ProductType::Float) const;
  /// True if the checkpoint stores this linear's weight as bfloat16.
  bool is_half(const LinearInfo& linear) const;
  HeadWeights<> load_head() const;
  /// Gain of the last norm [1, hidden], without the rest of the head; empty where there is none.
  Matrix<float> final_gain() const;

  /// What the head multiplies: after the last norm and projection. hidden [tokens, hidden] -> [tokens, embedding
  /// width]; of a model that reads images, the mean of each one's patches: [images · tokens, hidden] -> [images,
  /// hidden].
  Matrix<float> final_hidden(const Context<Cpu>& context, const HeadWeights<>& weights,
                             MatrixView<const float> hidden) const;
  /// final [tokens, embedding width] -> logits [tokens, vocabulary]. Chunks of tokens are the caller's affair.
  void logits(const Context<Cpu>& context, const HeadWeights<>& weights, MatrixView<const float> final,
              MatrixView<float> logits) const;

  /// Linear layers outside the blocks, which stay as they are: the head (also a tied one), projections of the
  /// embedding.
  const std::vector<std::string>& kept_linears() const { return kept_linears_; }

 private:
  /// A name of the table as this checkpoint spells it.
  std::string name(std::string_view name) const;
  void require_outer_tensors() const;

  const Checkpoint* checkpoint_;
  ModelConfig config_;
  std::vector<BlockProgram> programs_;
  std::vector<std::string> kept_linears_;
  bool prefix_model_ = true;
};

}  // namespace halftone
