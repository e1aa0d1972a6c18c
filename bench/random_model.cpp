// A Llama of random weights as a checkpoint directory, for bench/tuning and bench/whole: inputs of which channels go
// together, a random head. As it comes three blocks of width 64 (inner width 128, four query heads on two of keys and
// values), float; the options of --help make larger ones.
//   random_model DIRECTORY [ANISOTROPY] [OPTIONS]
// All norms, the last one too, read the same channels with the same gains exp(ANISOTROPY · normal): at 0 all channels
// alike, at 1 a few channels far more strongly than the others. With it calib_ids.safetensors (random tokens) and
// eval_ids.safetensors (64 windows).
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "halftone/core/matrix.hpp"
#include "halftone/core/random.hpp"
#include "halftone/format/safetensors_writer.hpp"

namespace {

using namespace halftone;

struct Shape {
  Index width = 64, inner = 128, heads = 4, kv_heads = 2, blocks = 3, vocabulary = 512, length = 32, windows = 512;
  bool bfloat = false;
  double anisotropy = 0;

  Index head_width() const { return width / heads; }
};

/// Tensors in the making, float.
class Tensors {
 public:
  Tensors(std::uint64_t seed, DType dtype) : random_(seed), dtype_(dtype) {}

  void add(const std::string& name, std::vector<Index> shape, const std::function<double(Random&)>& value) {
    Index size = 1;
    for (Index extent : shape) size *= extent;
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& v : values) v = static_cast<float>(value(random_));
    add(name, std::move(shape), std::move(values));
  }
  void add(const std::string& name, std::vector<Index> shape, std::vector<float> values) {
    infos_.push_back({name, dtype_, std::vector<std::int64_t>(shape.begin(), shape.end())});
    const auto bytes = std::as_bytes(std::span<const float>(values));
    if (dtype_ == DType::F32) return values_.emplace_back(bytes.begin(), bytes.end()), void();
    const std::vector<BFloat16> halves = rounded(values);
    const auto half_bytes = std::as_bytes(std::span<const BFloat16>(halves));
    values_.emplace_back(half_bytes.begin(), half_bytes.end());
  }
  /// Rows of which each output has the size of an input.
  void add_linear(const std::string& name, Index out, Index in, double gain = 1) {
    add(name, {out, in}, [=](Random& random) { return gain * random.normal() / std::sqrt(static_cast<double>(in)); });
  }
  void write(const std::filesystem::path& file) const {
    SafetensorsWriter writer(file, infos_, WriteMode::Create);
    for (std::size_t i = 0; i < infos_.size(); ++i) writer.write(infos_[i].name, values_[i]);
    writer.finish();
  }
  Random& random() { return random_; }

 private:
  static std::vector<BFloat16> rounded(const std::vector<float>& values) {
    std::vector<BFloat16> halves;
    halves.reserve(values.size());
    for (float value : values) halves.emplace_back(value);
    return halves;
  }

  Random random_;
  DType dtype_;
  std::vector<TensorInfo> infos_;
  std::vector<std::vector<std::byte>> values_;
};

/// Embeddings of a quarter of the width's dimensions, mixed, and a third as much noise.
std::vector<float> embeddings(const Shape& shape, Random& random) {
  const Index width = shape.width;
  Matrix<float> mix(width / 4, width);
  for (Index i = 0; i < mix.size(); ++i)
    mix.data()[i] = static_cast<float>(random.normal() / std::sqrt(static_cast<double>(mix.rows())));
  std::vector<float> table;
  for (Index token = 0; token < shape.vocabulary; ++token) {
    std::vector<double> latent(static_cast<std::size_t>(mix.rows()));
    for (double& value : latent) value = random.normal();
    for (Index j = 0; j < width; ++j) {
      double sum = 0.3 * random.normal();
      for (Index k = 0; k < mix.rows(); ++k)
        sum += latent[static_cast<std::size_t>(k)] * static_cast<double>(mix(k, j));
      table.push_back(static_cast<float>(sum));
    }
  }
  return table;
}

void write_config(const std::filesystem::path& file, const Shape& shape) {
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"hidden_size", shape.width},
                                 {"intermediate_size", shape.inner},
                                 {"num_hidden_layers", shape.blocks},
                                 {"num_attention_heads", shape.heads},
                                 {"num_key_value_heads", shape.kv_heads},
                                 {"vocab_size", shape.vocabulary},
                                 {"max_position_embeddings", shape.length},
                                 {"hidden_act", "silu"},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", false},
                                 {"torch_dtype", shape.bfloat ? "bfloat16" : "float32"}};
  std::ofstream(file) << config.dump(2) << '\n';
}

void write_model(const std::filesystem::path& folder, const Shape& shape) {
  const Index width = shape.width;
  Tensors tensors(1, shape.bfloat ? DType::BF16 : DType::F32);
  std::vector<float> gains;
  for (Index j = 0; j < width; ++j)
    gains.push_back(static_cast<float>(std::exp(shape.anisotropy * tensors.random().normal())));
  tensors.add("model.embed_tokens.weight", {shape.vocabulary, width}, embeddings(shape, tensors.random()));
  for (Index block = 0; block < shape.blocks; ++block) {
    const std::string name = "model.layers." + std::to_string(block) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      tensors.add(name + norm + ".weight", {width}, gains);
    tensors.add_linear(name + "self_attn.q_proj.weight", width, width);
    tensors.add_linear(name + "self_attn.k_proj.weight", shape.kv_heads * shape.head_width(), width);
    tensors.add_linear(name + "self_attn.v_proj.weight", shape.kv_heads * shape.head_width(), width);
    tensors.add_linear(name + "self_attn.o_proj.weight", width, width);
    tensors.add_linear(name + "mlp.gate_proj.weight", shape.inner, width);
    tensors.add_linear(name + "mlp.up_proj.weight", shape.inner, width);
    tensors.add_linear(name + "mlp.down_proj.weight", width, shape.inner);
  }
  tensors.add("model.norm.weight", {width}, gains);
  tensors.add_linear("lm_head.weight", shape.vocabulary, width, 2);
  tensors.write(folder / "model.safetensors");
  write_config(folder / "config.json", shape);
}

void write_ids(const std::filesystem::path& file, const Shape& shape, Index windows, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(windows * shape.length));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.below(shape.vocabulary));
  SafetensorsWriter writer(file, {{"input_ids", DType::I32, {windows, shape.length}}}, WriteMode::Create);
  writer.write("input_ids", std::as_bytes(std::span<const std::int32_t>(ids)));
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("A Llama of random weights as a checkpoint directory");
  Shape shape;
  std::filesystem::path folder;
  app.add_option("directory", folder, "Where it is written")->required();
  app.add_option("anisotropy", shape.anisotropy, "Deviation of the logarithm of the norms' gains")
      ->capture_default_str();
  const auto size = [&](const char* flag, Index& value, const char* what) {
    app.add_option(flag, value, what)->check(CLI::PositiveNumber)->capture_default_str();
  };
  size("--width", shape.width, "Hidden width");
  size("--inner", shape.inner, "Width inside the feed-forward part");
  size("--heads", shape.heads, "Query heads");
  size("--kv-heads", shape.kv_heads, "Heads of keys and values");
  size("--blocks", shape.blocks, "Blocks");
  size("--vocabulary", shape.vocabulary, "Tokens of the vocabulary");
  size("--length", shape.length, "Tokens of a window");
  size("--windows", shape.windows, "Windows of calibration");
  app.add_flag("--bf16", shape.bfloat, "Weights in bfloat16");
  CLI11_PARSE(app, argc, argv);
  std::filesystem::create_directories(folder);
  write_model(folder, shape);
  write_ids(folder / "calib_ids.safetensors", shape, shape.windows, 2);
  write_ids(folder / "eval_ids.safetensors", shape, 64, 3);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "random_model: %s\n", error.what());
  return 1;
}
