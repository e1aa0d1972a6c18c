// The architectures that Halftone knows: one row of tensor names, config keys and flags each.
// To add one: a row in src/model/architecture.cpp and a parity fixture. See docs/adding_an_architecture.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "halftone/format/json.hpp"

namespace halftone {

/// Which blocks attend to a sliding window only, where config.json has no `layer_types` that says so.
enum class WindowPattern : std::uint8_t {
  None,         ///< the architecture has no window
  Every,        ///< every block, if `sliding_window` is not null (Mistral, Phi-3)
  UpperBlocks,  ///< blocks from `max_window_layers` on, if `use_sliding_window` (Qwen)
  EvenBlocks,   ///< blocks 0, 2, 4, ... (Gemma 2)
};

/// Whether some linear layers have a bias: what the config says under `key`, else `otherwise`.
struct BiasRule {
  std::string_view key = {};
  bool otherwise = false;
};

/// A model as timm registers it, and the sizes that the name stands for: a config.json of timm has only the name and
/// what differs from them.
struct TimmModel {
  std::string_view name;  ///< config.json's `architecture`, "eva02_base_patch14_224"
  std::int64_t hidden = 0, blocks = 0, heads = 0;
  std::int64_t image = 0, patch = 0;  ///< side in pixels
  double inner_ratio = 0;             ///< inner width / hidden, rounded down
};

/// Tensors of a model that reads images, each a name in full. Empty: it reads token ids.
struct ImageTensors {
  std::string_view patches = {};      ///< <name>.weight [hidden, channels, patch, patch] and <name>.bias [hidden]
  std::string_view class_token = {};  ///< [1, 1, hidden], in front of the patches
  std::string_view positions = {};    ///< [1, 1 + patches, hidden]
};

/// How the blocks of a model are built and what their tensors are called. The defaults are Llama's. An empty name means
/// that the architecture has no such module. Tensors are `<name>.weight` and, where there is one, `<name>.bias`.
struct Architecture {
  std::string_view model_type = {};  ///< config.json's `model_type`
  std::string_view class_name = {};  ///< config.json's `architectures[0]`

  // Outside the blocks. A leading `model.` may be missing from all names of a checkpoint (bare models, old uploads).
  std::string_view embedding = "model.embed_tokens";
  std::string_view positions = {};    ///< learned positions; empty: rotary
  std::string_view project_in = {};   ///< from the width of the embedding to that of the blocks, where they differ
  std::string_view project_out = {};  ///< and back
  std::string_view blocks = "model.layers";
  std::string_view final_norm = "model.norm";
  std::string_view head = "lm_head";

  // Inside a block, behind `<blocks>.<i>.`.
  std::string_view attention_norm = "input_layernorm";
  std::string_view q = "self_attn.q_proj", k = "self_attn.k_proj", v = "self_attn.v_proj";
  std::string_view qkv = {};                  ///< q, k and v as rows of one matrix, in this order; replaces the three
  std::string_view q_bias = {}, v_bias = {};  ///< with `qkv`: its bias in pieces, tensors of these names; k has none
  std::string_view q_norm = {}, k_norm = {};  ///< RMSNorm of each head, before the rotation
  std::string_view o = "self_attn.o_proj";
  std::string_view after_attention_norm = {};  ///< of the attention's output, before it is added
  std::string_view mlp_norm = "post_attention_layernorm";
  std::string_view gate = "mlp.gate_proj";  ///< empty together with `gate_up`: a plain MLP, down(act(up))
  std::string_view up = "mlp.up_proj";
  std::string_view gate_up = {};     ///< gate and up as rows of one matrix, in this order; replaces the two
  std::string_view inner_norm = {};  ///< of what `down` reads
  std::string_view down = "mlp.down_proj";
  std::string_view after_mlp_norm = {};  ///< of the MLP's output, before it is added

  // Keys of config.json that differ between families.
  std::string_view inner_key = "intermediate_size";
  std::string_view activation_key = "hidden_act";
  std::string_view epsilon_key = "rms_norm_eps";  ///< empty: 1e-5
  std::string_view norm_first_key = {};  ///< false there: norms behind the sum of each sublayer; empty: always in front
  std::string_view embedding_width_key = {};  ///< width of the embedding, where it may differ from the blocks'
  std::string_view query_scale_key = {};      ///< scores are divided by the root of this instead of by √head_dim
  std::string_view score_cap_key = {}, logit_cap_key = {};  ///< soft caps c·tanh(x/c); null there: none
  BiasRule qkv_bias = {"attention_bias"}, o_bias = {"attention_bias"}, mlp_bias = {"mlp_bias"};

  // Vision models. Their patches attend to each other both ways, and their rotary positions are those of a grid.
  std::span<const TimmModel> timm = {};  ///< not empty: config.json is timm's, the keys above are not looked at
  ImageTensors image = {};

  // Flags.
  bool key_bias = true;  ///< k has a bias where q and v have one
  bool head_bias = false;
  bool layer_norm = false;             ///< LayerNorm with bias instead of RMSNorm
  bool norm_weight_minus_one = false;  ///< norms store weight − 1
  bool scaled_embedding = false;       ///< the embedding is multiplied by √hidden
  bool tied_by_default = false;        ///< tie_word_embeddings where the config lacks it
  std::int64_t position_offset = 0;    ///< row of position 0 in the table of learned positions
  WindowPattern window = WindowPattern::None;
  std::int64_t default_window = 0;  ///< `sliding_window` where the config lacks it; 0: none
};

/// Every architecture, in the order in which messages list them.
std::span<const Architecture> architectures();
/// The row that `model_type` of a config.json names, without it `architectures[0]`, without both timm's `architecture`.
/// Throws Status::InvalidData where all are missing, are no strings or contradict each other; Status::Unsupported, with
/// the list, for an unknown one.
const Architecture& find_architecture(const Json& config);

}  // namespace halftone
