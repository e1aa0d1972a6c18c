#include "model/timm_config.hpp"

#include <algorithm>  // find, find_if
#include <cmath>
#include <tuple>    // tie
#include <utility>  // pair

namespace halftone::detail {
namespace {

constexpr Index largest_image = 1 << 15, largest_patch = 1 << 10, most_channels = 1 << 10;

constexpr std::string_view arguments_read[] = {"img_size",    "patch_size", "in_chans",  "embed_dim",
                                               "depth",       "num_heads",  "mlp_ratio", "ref_feat_shape",
                                               "num_classes", "global_pool"};

/// Rows and columns: a list of two numbers, or one number for both.
std::pair<Index, Index> read_sides(const ConfigReader& reader, std::string_view key, Index otherwise) {
  const Json* value = reader.find(key);
  if (value == nullptr || !value->is_array()) {
    const Index side = reader.integer(key, 1, largest_image, otherwise);
    return {side, side};
  }
  const auto fits = [](const Json& side) {
    return side.is_number_integer() && side.get<double>() >= 1 && side.get<double>() <= largest_image;
  };
  reader.check(value->size() == 2 && fits((*value)[0]) && fits((*value)[1]), key,
               concat("two integers 1 .. ", largest_image));
  return {(*value)[0].get<Index>(), (*value)[1].get<Index>()};
}

void read_image(const ConfigReader& arguments, const TimmModel& model, ImageConfig& image) {
  image.channels = arguments.integer("in_chans", 1, most_channels, 3);
  std::tie(image.height, image.width) = read_sides(arguments, "img_size", model.image);
  image.patch = arguments.integer("patch_size", 1, largest_patch, model.patch);
  arguments.check(image.height % image.patch == 0 && image.width % image.patch == 0, "img_size",
                  concat("multiples of the patch size, ", image.patch));
  constexpr Index reference_side = 16;  // 224 pixels in patches of 14
  std::tie(image.reference_rows, image.reference_cols) = read_sides(arguments, "ref_feat_shape", reference_side);
}

void read_widths(const ConfigReader& arguments, const TimmModel& model, ModelConfig& c) {
  c.hidden = c.embedding_width = arguments.integer("embed_dim", 1, largest_size, model.hidden);
  c.blocks = arguments.integer("depth", 1, most_blocks, model.blocks);
  c.heads = c.kv_heads = arguments.integer("num_heads", 1, largest_size, model.heads);
  arguments.check(c.hidden % c.heads == 0 && c.hidden / c.heads % 4 == 0 && c.hidden / c.heads <= largest_head,
                  "num_heads", concat("a number that leaves ", c.hidden, " channels heads of 4, 8, .. ", largest_head));
  c.head_dim = c.hidden / c.heads;
  c.attention_scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  const double inner = static_cast<double>(c.hidden) * arguments.real("mlp_ratio", 1e-9, 1e9, model.inner_ratio);
  arguments.check(inner >= 1 && inner <= static_cast<double>(largest_size), "mlp_ratio",
                  concat("one that makes ", c.hidden, " channels 1 .. ", largest_size));
  c.inner = static_cast<Index>(inner);
}

}  // namespace

ModelConfig read_timm_config(const ConfigReader& reader, const Architecture& architecture) {
  const std::string name = reader.text("architecture");
  const TimmModel& model = *std::find_if(architecture.timm.begin(), architecture.timm.end(),
                                         [&](const TimmModel& entry) { return entry.name == name; });
  static const Json none = Json::object();
  const Json* given = reader.find("model_args");
  if (given != nullptr) reader.check(given->is_object(), "model_args", "an object");
  const ConfigReader arguments(given != nullptr ? *given : none, "model_args.");
  for (const auto& [key, value] : (given != nullptr ? *given : none).items()) {
    const bool known = std::find(std::begin(arguments_read), std::end(arguments_read), key) != std::end(arguments_read);
    require(known && !value.is_null(), Status::Unsupported, "config.json: 'model_args.", key, "' is ", excerpt(value),
            ", wanted ", known ? "a value" : "no such argument: what it changes is not known");
  }
  ModelConfig c;
  c.architecture = &architecture;
  read_image(arguments, model, c.image);
  read_widths(arguments, model, c);
  const ConfigReader& classes = arguments.has("num_classes") ? arguments : reader;
  c.vocabulary = classes.integer("num_classes", 1, largest_size, 1000);
  const ConfigReader& pool = arguments.has("global_pool") ? arguments : reader;
  pool.check(!pool.has("global_pool") || pool.text("global_pool") == "avg", "global_pool", "avg", Status::Unsupported);
  c.positions = c.image.tokens();
  c.activation = Activation::Silu;
  c.norm_epsilon = 1e-6;
  c.qkv_bias = c.o_bias = c.mlp_bias = true;
  c.windows.assign(static_cast<std::size_t>(c.blocks), 0);
  return c;
}

}  // namespace halftone::detail
