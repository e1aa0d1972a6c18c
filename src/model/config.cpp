#include "halftone/model/config.hpp"

#include <algorithm>  // min
#include <cmath>
#include <utility>  // pair

#include "model/config_reader.hpp"
#include "model/rope_config.hpp"
#include "model/timm_config.hpp"

namespace halftone {
namespace {

using detail::ConfigReader, detail::largest_size, detail::most_blocks, detail::largest_head;

Activation read_activation(const ConfigReader& reader, std::string_view key) {
  constexpr std::pair<std::string_view, Activation> known[] = {
      {"silu", Activation::Silu}, {"swish", Activation::Silu},        {"relu", Activation::Relu},
      {"gelu", Activation::Gelu}, {"gelu_new", Activation::GeluTanh}, {"gelu_pytorch_tanh", Activation::GeluTanh}};
  const std::string name = reader.text(key);
  std::string list;
  for (const auto& [word, activation] : known) {
    if (word == name) return activation;
    list += (list.empty() ? "one of " : ", ") + std::string(word);
  }
  reader.check(false, key, list, name.empty() ? Status::InvalidData : Status::Unsupported);
  return {};
}

void read_heads(const ConfigReader& reader, ModelConfig& c) {
  c.heads = reader.integer("num_attention_heads", 1, largest_size);
  c.kv_heads = reader.integer("num_key_value_heads", 1, c.heads, c.heads);
  reader.check(c.heads % c.kv_heads == 0, "num_key_value_heads", concat("a divisor of ", c.heads, " heads"));
  if (!reader.has("head_dim"))
    reader.check(c.hidden % c.heads == 0, "hidden_size", concat("a multiple of ", c.heads, " heads, or 'head_dim'"));
  c.head_dim = reader.integer("head_dim", 1, largest_head, c.hidden / c.heads);
  const Index most = std::min(largest_head, largest_size / c.heads);  // derived ones can be too large as well
  reader.check(c.head_dim <= most, "head_dim", concat("at most ", most, ", not ", c.head_dim));
  c.attention_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  const Architecture& a = *c.architecture;
  if (!a.query_scale_key.empty()) {
    const double scale = reader.real(a.query_scale_key, 1e-6, 1e12, static_cast<double>(c.head_dim));
    c.attention_scale = 1 / std::sqrt(scale);
  }
  if (!a.score_cap_key.empty()) c.attention_soft_cap = reader.real(a.score_cap_key, 1e-6, 1e12, 0.0);
  if (!a.logit_cap_key.empty()) c.logit_soft_cap = reader.real(a.logit_cap_key, 1e-6, 1e12, 0.0);
}

/// Whether block `block` has a window, by its word in `layer_types` or else by the architecture's pattern.
bool has_window(const ConfigReader& reader, const ModelConfig& c, Index block) {
  if (const Json* types = reader.find("layer_types")) {
    reader.check(types->is_array() && types->size() == static_cast<std::size_t>(c.blocks), "layer_types",
                 concat("a list of ", c.blocks, " words"));
    const Json& word = (*types)[static_cast<std::size_t>(block)];
    require(word == "full_attention" || word == "sliding_attention", Status::Unsupported, "config.json: 'layer_types[",
            block, "]' is ", detail::excerpt(word), ", wanted full_attention or sliding_attention");
    return word == "sliding_attention";
  }
  switch (c.architecture->window) {
    case WindowPattern::None: return false;
    case WindowPattern::Every: return true;
    case WindowPattern::UpperBlocks: return block >= reader.integer("max_window_layers", 0, INT64_MAX, 28);
    case WindowPattern::EvenBlocks: return block % 2 == 0;
  }
  return false;
}

void read_windows(const ConfigReader& reader, ModelConfig& c, bool window_is_null) {
  c.windows.assign(static_cast<std::size_t>(c.blocks), 0);
  const Architecture& a = *c.architecture;
  if (a.window == WindowPattern::None) return;
  const bool used = a.window != WindowPattern::UpperBlocks || reader.flag("use_sliding_window", false);
  const Index window = used ? reader.integer("sliding_window", 1, INT64_MAX, window_is_null ? 0 : a.default_window) : 0;
  for (Index block = 0; block < c.blocks; ++block) {
    if (!has_window(reader, c, block)) continue;
    reader.check(window > 0 || !reader.has("layer_types"), "sliding_window",
                 "a number, since 'layer_types' asks for a window");
    c.windows[static_cast<std::size_t>(block)] = window;
  }
}

DType read_dtype(const ConfigReader& reader) {
  constexpr std::pair<std::string_view, DType> known[] = {
      {"float32", DType::F32}, {"float16", DType::F16}, {"bfloat16", DType::BF16}, {"float64", DType::F64}};
  const std::string today = reader.text("dtype"), older = reader.text("torch_dtype");
  reader.check(today.empty() || older.empty() || today == older, "torch_dtype",
               concat("'", today, "' as 'dtype' says"));
  const std::string name = today.empty() ? older : today;
  if (name.empty()) return DType::F32;
  for (const auto& [word, type] : known)
    if (word == name) return type;
  reader.check(false, today.empty() ? "torch_dtype" : "dtype", "one of float32, float16, bfloat16, float64");
  return {};
}

bool bias(const ConfigReader& reader, const BiasRule& rule) {
  return rule.key.empty() ? rule.otherwise : reader.flag(rule.key, rule.otherwise);
}

}  // namespace

ModelConfig read_model_config(const Json& config) {
  ModelConfig c;
  c.architecture = &find_architecture(config);
  const Architecture& a = *c.architecture;
  const ConfigReader reader(config);
  if (!a.timm.empty()) return detail::read_timm_config(reader, a);

  c.hidden = reader.integer("hidden_size", 1, largest_size);
  c.inner = reader.integer(a.inner_key, 1, largest_size);
  c.blocks = reader.integer("num_hidden_layers", 1, most_blocks);
  c.vocabulary = reader.integer("vocab_size", 1, largest_size);
  c.embedding_width =
      a.embedding_width_key.empty() ? c.hidden : reader.integer(a.embedding_width_key, 1, largest_size, c.hidden);
  c.positions = a.positions.empty() ? reader.integer("max_position_embeddings", 1, INT64_MAX, 0)
                                    : reader.integer("max_position_embeddings", 1, largest_size);
  c.activation = read_activation(reader, a.activation_key);
  c.norm_epsilon = a.epsilon_key.empty() ? 1e-5 : reader.real(a.epsilon_key, 0, 1);
  read_heads(reader, c);
  read_windows(reader, c, config.contains("sliding_window"));
  if (a.positions.empty()) {
    c.rope = detail::read_rope_config(reader, c.positions);
    const double rotated = static_cast<double>(c.head_dim) * c.rope.rotated_share;
    reader.check(static_cast<Index>(rotated) > 0 && static_cast<Index>(rotated) % 2 == 0, "head_dim",
                 concat("a number of which the rotated share is even, not ", rotated));
  }
  c.qkv_bias = bias(reader, a.qkv_bias), c.o_bias = bias(reader, a.o_bias), c.mlp_bias = bias(reader, a.mlp_bias);
  c.tied_head = reader.flag("tie_word_embeddings", a.tied_by_default);
  c.norm_first = a.norm_first_key.empty() || reader.flag(a.norm_first_key, true);
  c.final_norm = c.norm_first && !reader.flag("_remove_final_layer_norm", false);
  c.dtype = read_dtype(reader);

  reader.check(!reader.flag("use_bidirectional_attention", false), "use_bidirectional_attention", "false",
               Status::Unsupported);
  reader.check(reader.flag("layer_norm_elementwise_affine", true), "layer_norm_elementwise_affine", "true",
               Status::Unsupported);
  return c;
}

}  // namespace halftone
