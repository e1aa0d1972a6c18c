// What a forward pass needs from config.json, checked: both today's spelling (`rope_parameters`, `dtype`) and the older
// (`rope_theta`, `rope_scaling`, `torch_dtype`).
#pragma once

#include <vector>

#include "halftone/backend/activation.hpp"
#include "halftone/core/dtype.hpp"
#include "halftone/model/architecture.hpp"

namespace halftone {

/// How rotary frequencies are stretched for longer contexts.
enum class RopeRule : std::uint8_t {
  Default,  ///< θ^(−2i/d)
  Linear,   ///< all divided by `factor`
  Llama3,   ///< long wavelengths divided by `factor`, short ones kept, a blend between (Llama 3.1)
};

struct RopeConfig {
  RopeRule rule = RopeRule::Default;
  double theta = 10000;
  double rotated_share = 1;  ///< `partial_rotary_factor`: share of a head's channels that rotate
  double factor = 1;
  double low_frequency_factor = 1, high_frequency_factor = 1;  ///< Llama3 only
  double original_positions = 0;                               ///< Llama3 only
};

/// What a vision model reads, and the tokens that become of it: a class token, then the patches row by row.
struct ImageConfig {
  Index channels = 0, height = 0, width = 0;  ///< of an image, in pixels
  Index patch = 0;                            ///< side, a divisor of both; 0: the model reads token ids
  /// Patches of the images that the rotary positions were learned with: another grid is stretched to that one.
  Index reference_rows = 0, reference_cols = 0;

  Index rows() const { return height / patch; }
  Index cols() const { return width / patch; }
  Index tokens() const { return 1 + rows() * cols(); }
};

/// A model's shape and constants. All sizes are positive and small enough that a product of two fits in 63 bits.
struct ModelConfig {
  const Architecture* architecture = nullptr;  ///< a row of architectures()
  Index hidden = 0;                            ///< width of the residual stream
  Index inner = 0;                             ///< width inside the MLP
  Index blocks = 0;
  Index heads = 0, kv_heads = 0, head_dim = 0;  ///< heads · head_dim need not be `hidden`; heads % kv_heads == 0
  Index vocabulary = 0;                         ///< of a classifier: its classes
  Index embedding_width = 0;                    ///< `hidden` but for OPT-350m
  Index positions = 0;  ///< longest window with learned positions; otherwise informative, 0: not said
  Activation activation = Activation::Silu;
  double norm_epsilon = 0;
  RopeConfig rope;
  ImageConfig image;
  bool qkv_bias = false, o_bias = false, mlp_bias = false;  ///< qkv: see Architecture::key_bias
  bool tied_head = false;                                   ///< the head is the embedding
  bool norm_first = true;                                   ///< norms in front of the sublayers (false: OPT-350m)
  bool final_norm = true;
  double attention_scale = 0;     ///< factor of q·k
  double attention_soft_cap = 0;  ///< scores become c·tanh(score/c); 0: they do not
  double logit_soft_cap = 0;
  std::vector<Index> windows;  ///< per block: how many tokens a token sees, itself included; 0: all (before it)
  DType dtype = DType::F32;    ///< in which the weights were saved, as far as the config says; F32 otherwise

  bool reads_images() const { return image.patch > 0; }
};

/// Throws Status::InvalidData, naming key, got and wanted, for what is missing, of the wrong type, out of bounds or
/// contradictory; Status::Unsupported for architectures, activations and rotary rules that are not known.
ModelConfig read_model_config(const Json& config);

/// Inverse frequencies of the rotary pairs, radians per position: head_dim · rotated_share / 2 of them, in double. Of a
/// vision model head_dim / 4 for the rows of its grid, and the same for the columns.
std::vector<double> rotary_frequencies(const ModelConfig& config);

}  // namespace halftone
