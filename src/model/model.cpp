#include "halftone/model/model.hpp"

#include <algorithm>  // copy_n
#include <cmath>

#include "halftone/core/error.hpp"
#include "model/head.hpp"
#include "model/image_embedding.hpp"
#include "model/tensor_check.hpp"

namespace halftone {
namespace {

constexpr std::string_view model_prefix = "model.";

/// A vector of `width` numbers, one row.
Matrix<float> vector_of(const TensorSource& tensors, const std::string& name, Index width) {
  Matrix<float> row = tensors.matrix(name);
  require(row.rows() == 1 && row.cols() == width, Status::InvalidData, tensors.origin(name), ": tensor '", name,
          "' is ", row.rows(), " x ", row.cols(), ", wanted ", width, " numbers");
  tensors.release(name);
  return row;
}

/// A linear layer's weight [rows, cols], which read() gets.
template <class Read>
auto linear_weight(const Checkpoint& checkpoint, const std::string& module, Index rows, Index cols, Read&& read) {
  auto W = read();
  require(W.rows() == rows && W.cols() == cols, Status::InvalidData, checkpoint.name(), ": weight of '", module,
          "' is ", W.rows(), " x ", W.cols(), ", wanted ", rows, " x ", cols);
  checkpoint.tensors().release_module(module);
  return W;
}
/// The same, decoded if need be.
Matrix<float> linear_weight(const Checkpoint& checkpoint, const std::string& module, Index rows, Index cols) {
  return linear_weight(checkpoint, module, rows, cols, [&] { return checkpoint.weight(module); });
}

/// The bias of a linear layer; empty where it has none. Writers of quantised checkpoints may store a bias of zeros for
/// layers that have none: anything but zeros there would be a model that the config does not describe.
Matrix<float> linear_bias(const TensorSource& tensors, const LinearInfo& linear) {
  const std::string name = linear.module + ".bias";
  if (!linear.bias_pieces.empty()) {
    Matrix<float> bias(1, linear.rows, 0.0f);
    for (const auto& piece : linear.bias_pieces) {
      const Matrix<float> part = vector_of(tensors, piece.name, piece.rows);
      std::copy_n(part.data(), piece.rows, bias.data() + piece.first);
    }
    return bias;
  }
  if (linear.bias) return vector_of(tensors, name, linear.rows);
  if (tensors.find(name) == nullptr) return {};
  const Matrix<float> stored = tensors.matrix(name);
  for (Index j = 0; j < stored.size(); ++j)
    require(stored.data()[j] == 0, Status::InvalidData, tensors.origin(name), ": tensor '", name, "' is ",
            stored.data()[j], " at ", j, ", wanted zeros or no tensor, since the config says that there is no bias");
  tensors.release(name);
  return {};
}

}  // namespace

Model::Model(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {
  try {
    config_ = read_model_config(checkpoint.config());
  } catch (const Error& error) {
    fail(error.status(), checkpoint.name(), ": ", error.what());
  }
  const Architecture& a = *config_.architecture;
  const std::string embedding = std::string(a.embedding) + ".weight";
  if (a.embedding.starts_with(model_prefix))
    prefix_model_ = checkpoint.tensors().find(embedding.substr(model_prefix.size())) == nullptr;
  for (Index block = 0; block < config_.blocks; ++block) {
    programs_.push_back(build_block_program(config_, block, prefix_model_));
    detail::require_block_tensors(checkpoint,
                                  programs_.back());  // before the next: a hostile number of blocks ends here
  }
  detail::require_known_tensors(checkpoint, a, name(a.blocks) + ".", programs_);
  require_outer_tensors();
  kept_linears_.push_back(name(a.head));
  if (config_.embedding_width != config_.hidden) {
    kept_linears_.push_back(name(a.project_in));
    kept_linears_.push_back(name(a.project_out));
  }
}

std::string Model::name(std::string_view name) const {
  if (!prefix_model_ && name.starts_with(model_prefix)) name.remove_prefix(model_prefix.size());
  return std::string(name);
}

void Model::require_outer_tensors() const {
  const Architecture& a = *config_.architecture;
  const Checkpoint& c = *checkpoint_;
  if (config_.reads_images())
    detail::require_image_tensors(c, config_);
  else
    detail::require_tensor(c, name(a.embedding) + ".weight", {config_.vocabulary, config_.embedding_width});
  if (!a.positions.empty())
    detail::require_tensor(c, name(a.positions) + ".weight", {config_.positions + a.position_offset, config_.hidden});
  if (config_.embedding_width != config_.hidden) {
    detail::require_linear(c, name(a.project_in), config_.hidden, config_.embedding_width);
    detail::require_linear(c, name(a.project_out), config_.embedding_width, config_.hidden);
  }
  if (config_.final_norm) {
    detail::require_tensor(c, name(a.final_norm) + ".weight", {config_.hidden});
    if (a.layer_norm) detail::require_tensor(c, name(a.final_norm) + ".bias", {config_.hidden});
  }
  if (!config_.tied_head) detail::require_linear(c, name(a.head), config_.vocabulary, config_.embedding_width);
  if (a.head_bias) detail::require_tensor(c, name(a.head) + ".bias", {config_.vocabulary});
}

Matrix<float> Model::embed(const Context<Cpu>& context, MatrixView<const std::int32_t> ids) const {
  const Architecture& a = *config_.architecture;
  const TensorSource& tensors = checkpoint_->tensors();
  require(!config_.reads_images(), Status::Unsupported, checkpoint_->name(), ": an ", a.model_type,
          " model reads images, got token ids");
  const std::string table = name(a.embedding) + ".weight";
  require(a.positions.empty() || ids.cols <= config_.positions, Status::InvalidArgument, "embed: windows have ",
          ids.cols, " tokens, wanted at most ", config_.positions, ", the model's learned positions");
  detail::require_ids(ids, config_.vocabulary);
  Matrix<float> embedded(ids.rows * ids.cols, config_.embedding_width);
  const float scale = a.scaled_embedding ? std::sqrt(static_cast<float>(config_.hidden)) : 1.0f;
  tensors.bytes(table);  // here, and not on the threads below: a program may be asked for it
  parallel_pieces(context.threads(), embedded.rows(), 256, [&](Index first, Index last) {
    for (Index token = first; token < last; ++token) {
      const Matrix<float> row = tensors.matrix_rows(table, ids(token / ids.cols, token % ids.cols), 1);
      for (Index j = 0; j < row.cols(); ++j) embedded(token, j) = scale * row(0, j);
    }
  });
  tensors.release(table);
  Matrix<float> hidden = std::move(embedded);
  if (config_.embedding_width != config_.hidden) {
    const Matrix<float> W = linear_weight(*checkpoint_, name(a.project_in), config_.hidden, config_.embedding_width);
    Matrix<float> projected(hidden.rows(), config_.hidden);
    gemm<float>(context, Transpose::No, Transpose::Yes, 1.0f, hidden.view(), W.view(), 0.0f, projected.view());
    hidden = std::move(projected);
  }
  if (!a.positions.empty()) {
    const std::string learned = name(a.positions) + ".weight";
    const Matrix<float> positions = tensors.matrix_rows(learned, a.position_offset, ids.cols);
    tensors.release(learned);
    for (Index window = 0; window < ids.rows; ++window) {
      const auto rows = hidden.view().middle_rows(window * ids.cols, ids.cols);
      add<float>(context, rows, positions.view(), rows);
    }
  }
  return hidden;
}

Matrix<float> Model::embed_images(const Context<Cpu>& context, MatrixView<const float> pixels) const {
  require(config_.reads_images(), Status::Unsupported, checkpoint_->name(), ": a ", config_.architecture->model_type,
          " model reads token ids, got images");
  return detail::embed_images(context, checkpoint_->tensors(), config_, pixels);
}

bool Model::is_half(const LinearInfo& linear) const {
  const Format* format = checkpoint_->format();
  const TensorInfo* stored = checkpoint_->tensors().find(linear.module + ".weight");
  return (format == nullptr || format->name() == "dense") && stored != nullptr && stored->dtype == DType::BF16;
}

BlockWeights<float> Model::load_block(const Context<Cpu>& /*on the CPU nothing moves*/, Index block,
                                      ProductType products) const {
  const BlockProgram& program = this->program(block);
  const TensorSource& tensors = checkpoint_->tensors();
  BlockWeights<float> weights;
  if (products == ProductType::BFloat16) weights.halves.resize(program.linears.size());
  for (std::size_t i = 0; i < program.linears.size(); ++i) {
    const LinearInfo& linear = program.linears[i];
    const bool half = products == ProductType::BFloat16 && is_half(linear);
    if (half)
      weights.halves[i] = linear_weight(*checkpoint_, linear.module, linear.rows, linear.cols,
                                        [&] { return tensors.halves(linear.module + ".weight"); });
    weights.linears.push_back(half ? Matrix<float>()
                                   : linear_weight(*checkpoint_, linear.module, linear.rows, linear.cols));
    weights.biases.push_back(linear_bias(tensors, linear));
  }
  for (const ParameterInfo& parameter : program.parameters) {
    Matrix<float> row = vector_of(tensors, parameter.name, parameter.width);
    for (Index j = 0; j < row.cols(); ++j) row(0, j) += static_cast<float>(parameter.offset);
    weights.parameters.push_back(std::move(row));
  }
  return weights;
}

Matrix<float> Model::final_gain() const {
  if (!config_.final_norm) return {};
  const Architecture& a = *config_.architecture;
  Matrix<float> gain = vector_of(checkpoint_->tensors(), name(a.final_norm) + ".weight", config_.hidden);
  for (Index j = 0; j < config_.hidden; ++j) gain(0, j) += a.norm_weight_minus_one ? 1.0f : 0.0f;
  return gain;
}

HeadWeights<> Model::load_head() const {
  const Architecture& a = *config_.architecture;
  const TensorSource& tensors = checkpoint_->tensors();
  HeadWeights<> weights;
  weights.norm = final_gain();
  if (config_.final_norm && a.layer_norm)
    weights.norm_bias = vector_of(tensors, name(a.final_norm) + ".bias", config_.hidden);
  if (config_.embedding_width != config_.hidden)
    weights.project = linear_weight(*checkpoint_, name(a.project_out), config_.embedding_width, config_.hidden);
  if (config_.tied_head) {
    const std::string table = name(a.embedding) + ".weight";
    weights.head = tensors.matrix(table);
    tensors.release(table);
  } else {
    weights.head = linear_weight(*checkpoint_, name(a.head), config_.vocabulary, config_.embedding_width);
  }
  if (a.head_bias) weights.head_bias = vector_of(tensors, name(a.head) + ".bias", config_.vocabulary);
  return weights;
}

Matrix<float> Model::final_hidden(const Context<Cpu>& context, const HeadWeights<>& weights,
                                  MatrixView<const float> hidden) const {
  return detail::head_inputs(
      context, config_, weights,
      config_.reads_images() ? detail::mean_of_patches(context, config_.image, hidden) : Matrix<float>(hidden));
}

void Model::logits(const Context<Cpu>& context, const HeadWeights<>& weights, MatrixView<const float> final,
                   MatrixView<float> logits) const {
  detail::head_logits(context, config_, weights, final, logits);
}

}  // namespace halftone
