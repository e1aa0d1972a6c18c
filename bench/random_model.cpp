// A Llama of random weights as a checkpoint directory, for bench/tuning: three blocks of width 64 (inner width 128,
// four query heads on two of keys and values), inputs of which channels go together, a random head.
//   random_model DIRECTORY [ANISOTROPY]
// All norms, the last one too, read the same channels with the same gains exp(ANISOTROPY · normal): at 0 all channels
// alike, at 1 a few channels far more strongly than the others. With it calib_ids.safetensors (512 windows of 32 random
// tokens) and eval_ids.safetensors (64).
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

constexpr Index width = 64, inner = 128, heads = 4, kv_heads = 2, blocks = 3, vocabulary = 512, length = 32;
constexpr Index head_width = width / heads;

/// Tensors in the making, float.
class Tensors {
 public:
  explicit Tensors(std::uint64_t seed) : random_(seed) {}

  void add(const std::string& name, std::vector<Index> shape, const std::function<double(Random&)>& value) {
    Index size = 1;
    for (Index extent : shape) size *= extent;
    std::vector<float> values(static_cast<std::size_t>(size));
    for (float& v : values) v = static_cast<float>(value(random_));
    add(name, std::move(shape), std::move(values));
  }
  void add(const std::string& name, std::vector<Index> shape, std::vector<float> values) {
    infos_.push_back({name, DType::F32, std::vector<std::int64_t>(shape.begin(), shape.end())});
    values_.push_back(std::move(values));
  }
  /// Rows of which each output has the size of an input.
  void add_linear(const std::string& name, Index out, Index in, double gain = 1) {
    add(name, {out, in}, [=](Random& random) { return gain * random.normal() / std::sqrt(static_cast<double>(in)); });
  }
  void write(const std::filesystem::path& file) const {
    SafetensorsWriter writer(file, infos_, WriteMode::Create);
    for (std::size_t i = 0; i < infos_.size(); ++i)
      writer.write(infos_[i].name, std::as_bytes(std::span<const float>(values_[i])));
    writer.finish();
  }
  Random& random() { return random_; }

 private:
  Random random_;
  std::vector<TensorInfo> infos_;
  std::vector<std::vector<float>> values_;
};

/// Embeddings of a quarter of the width's dimensions, mixed, and a third as much noise.
std::vector<float> embeddings(Random& random) {
  Matrix<float> mix(width / 4, width);
  for (Index i = 0; i < mix.size(); ++i)
    mix.data()[i] = static_cast<float>(random.normal() / std::sqrt(static_cast<double>(mix.rows())));
  std::vector<float> table;
  for (Index token = 0; token < vocabulary; ++token) {
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

void write_model(const std::filesystem::path& folder, double anisotropy) {
  Tensors tensors(1);
  std::vector<float> gains;
  for (Index j = 0; j < width; ++j)
    gains.push_back(static_cast<float>(std::exp(anisotropy * tensors.random().normal())));
  tensors.add("model.embed_tokens.weight", {vocabulary, width}, embeddings(tensors.random()));
  for (Index block = 0; block < blocks; ++block) {
    const std::string name = "model.layers." + std::to_string(block) + ".";
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
      tensors.add(name + norm + ".weight", {width}, gains);
    tensors.add_linear(name + "self_attn.q_proj.weight", width, width);
    tensors.add_linear(name + "self_attn.k_proj.weight", kv_heads * head_width, width);
    tensors.add_linear(name + "self_attn.v_proj.weight", kv_heads * head_width, width);
    tensors.add_linear(name + "self_attn.o_proj.weight", width, width);
    tensors.add_linear(name + "mlp.gate_proj.weight", inner, width);
    tensors.add_linear(name + "mlp.up_proj.weight", inner, width);
    tensors.add_linear(name + "mlp.down_proj.weight", width, inner);
  }
  tensors.add("model.norm.weight", {width}, gains);
  tensors.add_linear("lm_head.weight", vocabulary, width, 2);
  tensors.write(folder / "model.safetensors");
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"hidden_size", width},
                                 {"intermediate_size", inner},
                                 {"num_hidden_layers", blocks},
                                 {"num_attention_heads", heads},
                                 {"num_key_value_heads", kv_heads},
                                 {"vocab_size", vocabulary},
                                 {"max_position_embeddings", length},
                                 {"hidden_act", "silu"},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 10000.0},
                                 {"tie_word_embeddings", false},
                                 {"torch_dtype", "float32"}};
  std::ofstream(folder / "config.json") << config.dump(2) << '\n';
}

void write_ids(const std::filesystem::path& file, Index windows, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(windows * length));
  for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random.below(vocabulary));
  SafetensorsWriter writer(file, {{"input_ids", DType::I32, {windows, length}}}, WriteMode::Create);
  writer.write("input_ids", std::as_bytes(std::span<const std::int32_t>(ids)));
  writer.finish();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fputs("usage: random_model DIRECTORY [ANISOTROPY]\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  write_model(folder, argc > 2 ? std::stod(argv[2]) : 0);
  write_ids(folder / "calib_ids.safetensors", 512, 2);
  write_ids(folder / "eval_ids.safetensors", 64, 3);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "random_model: %s\n", error.what());
  return 1;
}
