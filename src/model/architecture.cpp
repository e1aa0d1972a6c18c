#include "halftone/model/architecture.hpp"

#include <algorithm>  // find_if
#include <nlohmann/json.hpp>
#include <string>

#include "halftone/core/error.hpp"

namespace halftone {
namespace {

constexpr Architecture llama{.model_type = "llama", .class_name = "LlamaForCausalLM"};

constexpr Architecture mistral = [] {
  Architecture a = llama;
  a.model_type = "mistral", a.class_name = "MistralForCausalLM";
  a.qkv_bias = a.o_bias = a.mlp_bias = {};
  a.window = WindowPattern::Every, a.default_window = 4096;
  return a;
}();

constexpr Architecture qwen2 = [] {
  Architecture a = llama;
  a.model_type = "qwen2", a.class_name = "Qwen2ForCausalLM";
  a.qkv_bias = {.key = "", .otherwise = true}, a.o_bias = a.mlp_bias = {};
  a.window = WindowPattern::UpperBlocks;
  return a;
}();

constexpr Architecture qwen3 = [] {
  Architecture a = llama;
  a.model_type = "qwen3", a.class_name = "Qwen3ForCausalLM";
  a.q_norm = "self_attn.q_norm", a.k_norm = "self_attn.k_norm";
  a.mlp_bias = {};
  a.window = WindowPattern::UpperBlocks;
  return a;
}();

constexpr Architecture phi3 = [] {
  Architecture a = llama;
  a.model_type = "phi3", a.class_name = "Phi3ForCausalLM";
  a.q = a.k = a.v = "", a.qkv = "self_attn.qkv_proj";
  a.gate = a.up = "", a.gate_up = "mlp.gate_up_proj";
  a.qkv_bias = a.o_bias = a.mlp_bias = {};
  a.window = WindowPattern::Every;
  return a;
}();

constexpr Architecture gemma2 = [] {
  Architecture a = llama;
  a.model_type = "gemma2", a.class_name = "Gemma2ForCausalLM";
  a.after_attention_norm = "post_attention_layernorm";
  a.mlp_norm = "pre_feedforward_layernorm", a.after_mlp_norm = "post_feedforward_layernorm";
  a.activation_key = "hidden_activation", a.query_scale_key = "query_pre_attn_scalar";
  a.score_cap_key = "attn_logit_softcapping", a.logit_cap_key = "final_logit_softcapping";
  a.mlp_bias = {};
  a.norm_weight_minus_one = a.scaled_embedding = a.tied_by_default = true;
  a.window = WindowPattern::EvenBlocks, a.default_window = 4096;
  return a;
}();

constexpr Architecture opt{
    .model_type = "opt",
    .class_name = "OPTForCausalLM",
    .embedding = "model.decoder.embed_tokens",
    .positions = "model.decoder.embed_positions",
    .project_in = "model.decoder.project_in",
    .project_out = "model.decoder.project_out",
    .blocks = "model.decoder.layers",
    .final_norm = "model.decoder.final_layer_norm",
    .attention_norm = "self_attn_layer_norm",
    .o = "self_attn.out_proj",
    .mlp_norm = "final_layer_norm",
    .gate = "",
    .up = "fc1",
    .down = "fc2",
    .inner_key = "ffn_dim",
    .activation_key = "activation_function",
    .epsilon_key = "",
    .norm_first_key = "do_layer_norm_before",
    .embedding_width_key = "word_embed_proj_dim",
    .qkv_bias = {.key = "enable_bias", .otherwise = true},
    .o_bias = {.key = "enable_bias", .otherwise = true},
    .mlp_bias = {.key = "enable_bias", .otherwise = true},
    .layer_norm = true,
    .tied_by_default = true,
    .position_offset = 2,
};

// EVA-02 (Fang et al. 2023, arXiv 2303.11331) as timm has it: rotary positions of two dimensions, a gated MLP with a
// norm inside it (base, large).
constexpr double eva02_ratio = 4.0 * 2 / 3;
constexpr TimmModel eva02_models[] = {
    {"eva02_base_patch14_224", 768, 12, 12, 224, 14, eva02_ratio},
    {"eva02_base_patch14_448", 768, 12, 12, 448, 14, eva02_ratio},
    {"eva02_large_patch14_224", 1024, 24, 16, 224, 14, eva02_ratio},
    {"eva02_large_patch14_448", 1024, 24, 16, 448, 14, eva02_ratio},
};
constexpr TimmModel eva02_fused_models[] = {
    {"eva02_tiny_patch14_224", 192, 12, 3, 224, 14, eva02_ratio},
    {"eva02_tiny_patch14_336", 192, 12, 3, 336, 14, eva02_ratio},
    {"eva02_small_patch14_224", 384, 12, 6, 224, 14, eva02_ratio},
    {"eva02_small_patch14_336", 384, 12, 6, 336, 14, eva02_ratio},
};

constexpr Architecture eva02{
    .model_type = "eva02",
    .embedding = "",
    .blocks = "blocks",
    .final_norm = "fc_norm",
    .head = "head",
    .attention_norm = "norm1",
    .q = "attn.q_proj",
    .k = "attn.k_proj",
    .v = "attn.v_proj",
    .o = "attn.proj",
    .mlp_norm = "norm2",
    .gate = "mlp.fc1_g",
    .up = "mlp.fc1_x",
    .inner_norm = "mlp.norm",
    .down = "mlp.fc2",
    .qkv_bias = {.key = "", .otherwise = true},
    .o_bias = {.key = "", .otherwise = true},
    .mlp_bias = {.key = "", .otherwise = true},
    .timm = eva02_models,
    .image = {.patches = "patch_embed.proj", .class_token = "cls_token", .positions = "pos_embed"},
    .key_bias = false,
    .head_bias = true,
    .layer_norm = true,
};

constexpr Architecture eva02_fused = [] {
  Architecture a = eva02;
  a.q = a.k = a.v = "", a.qkv = "attn.qkv";
  a.q_bias = "attn.q_bias", a.v_bias = "attn.v_bias";
  a.gate = a.up = a.inner_norm = "", a.gate_up = "mlp.fc1";
  a.timm = eva02_fused_models;
  return a;
}();

constexpr Architecture table[] = {llama, mistral, qwen2, qwen3, phi3, gemma2, opt, eva02, eva02_fused};

/// Of the rows whose config.json is that of transformers.
std::string names(std::string_view Architecture::*member) {
  std::string list;
  for (const Architecture& row : table)
    if (row.timm.empty()) list += (list.empty() ? "" : ", ") + std::string(row.*member);
  return list;
}

/// The row whose `member` is `name`.
const Architecture& row_of(std::string_view Architecture::*member, const std::string& name, const char* key) {
  const auto row = std::find_if(std::begin(table), std::end(table),
                                [&](const Architecture& a) { return a.timm.empty() && a.*member == name; });
  require(row != std::end(table), Status::Unsupported, "config.json: '", key, "' is '", name, "', wanted one of ",
          names(member));
  return *row;
}

/// The row that has a model of timm.
const Architecture& timm_row(const std::string& name) {
  std::string list;
  for (const Architecture& row : table)
    for (const TimmModel& model : row.timm) {
      if (model.name == name) return row;
      list += (list.empty() ? "" : ", ") + std::string(model.name);
    }
  fail(Status::Unsupported, "config.json: 'architecture' is '", name, "', wanted one of ", list);
}

/// config[key] as text; empty where it is missing or null.
std::string text_at(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return {};
  require(found->is_string(), Status::InvalidData, "config.json: '", key, "' is a ", found->type_name(),
          ", wanted a string");
  return found->get<std::string>();
}

}  // namespace

std::span<const Architecture> architectures() { return table; }

const Architecture& find_architecture(const Json& config) {
  require(config.is_object(), Status::InvalidData, "config.json: the whole is a ", config.type_name(),
          ", wanted an object");
  std::string class_name;
  if (const auto list = config.find("architectures"); list != config.end() && !list->is_null()) {
    require(list->is_array() && (list->empty() || list->front().is_string()), Status::InvalidData,
            "config.json: 'architectures' is a ", list->type_name(), ", wanted a list of strings");
    if (!list->empty()) class_name = list->front().get<std::string>();
  }
  const std::string type = text_at(config, "model_type");
  if (const std::string timm = text_at(config, "architecture"); !timm.empty() && type.empty() && class_name.empty())
    return timm_row(timm);
  require(!type.empty() || !class_name.empty(), Status::InvalidData,
          "config.json: 'model_type' and 'architectures' are missing, wanted one of ",
          names(&Architecture::model_type));
  if (type.empty()) return row_of(&Architecture::class_name, class_name, "architectures");
  const Architecture& row = row_of(&Architecture::model_type, type, "model_type");
  require(class_name.empty() || class_name == row.class_name, Status::Unsupported, "config.json: 'architectures' is '",
          class_name, "', wanted '", row.class_name, "' with model_type '", type, "'");
  return row;
}

}  // namespace halftone
