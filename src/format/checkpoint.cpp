#include "halftone/format/checkpoint.hpp"

#include <algorithm>  // sort
#include <nlohmann/json.hpp>
#include <utility>  // move

#include "halftone/core/error.hpp"
#include "halftone/format/safetensors.hpp"

namespace halftone {
namespace {

/// Weights in any clothing, and what describes them: rewritten or left behind, never copied.
bool is_weight_file(const std::filesystem::path& file) {
  const std::string name = file.filename().string(), ending = file.extension().string();
  for (const char* known : {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx", ".npz",
                            ".partial", ".lock"})
    if (ending == known) return true;
  return name.ends_with(".index.json") || name == "config.json" || name == "quantize_config.json" || name[0] == '.';
}

constexpr std::uintmax_t side_file_limit = 64'000'000;  // bytes; the largest tokenizers have about 30 MB

}  // namespace

struct Checkpoint::State {
  std::filesystem::path directory;
  std::string name;
  Json config;
  std::unique_ptr<TensorSource> tensors;
  const Format* format = nullptr;

  void set_config(Json document, const std::string& who) {
    config = std::move(document);
    require(config.is_object(), Status::InvalidData, who, ": not a JSON object");
    try {
      format = detect_format(config);
    } catch (const Error& error) {
      fail(error.status(), name, ": ", error.what());
    }
  }
};

Checkpoint::Checkpoint(const std::filesystem::path& directory) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.directory = directory;
  state.name = directory.string();
  std::error_code ignored;
  require(std::filesystem::is_directory(directory, ignored), Status::NotFound, directory.string(),
          ": no such directory");
  const auto file = directory / "config.json";
  state.set_config(read_json(file), file.string());
  state.tensors = open_weights(directory);
}

Checkpoint::Checkpoint(const Json& config, std::unique_ptr<TensorSource> tensors, std::string name)
    : state_(std::make_unique<State>()) {
  require(tensors != nullptr, Status::InvalidArgument, name, ": no tensors");
  state_->name = std::move(name);
  state_->tensors = std::move(tensors);
  state_->set_config(config, state_->name + ", its config");
}

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;

const std::filesystem::path& Checkpoint::directory() const { return state_->directory; }
const std::string& Checkpoint::name() const { return state_->name; }
const Json& Checkpoint::config() const { return state_->config; }
const TensorSource& Checkpoint::tensors() const { return *state_->tensors; }
const Format* Checkpoint::format() const { return state_->format; }

Matrix<float> Checkpoint::weight(std::string_view module) const {
  if (const auto matrix = quantized(module)) return dequantize(*matrix);
  return state_->tensors->matrix(std::string(module) + ".weight");
}

std::optional<StoredMatrix> Checkpoint::stored(std::string_view module) const {
  if (state_->format != nullptr)
    if (auto matrix = state_->format->stored(*state_->tensors, state_->config, module)) return matrix;
  return find_format("dense").stored(*state_->tensors, state_->config, module);
}

std::unique_ptr<QuantizedMatrix> Checkpoint::quantized(std::string_view module) const {
  return state_->format == nullptr ? nullptr : state_->format->decode(*state_->tensors, state_->config, module);
}

std::vector<std::filesystem::path> Checkpoint::side_files() const {
  std::vector<std::filesystem::path> files;
  if (state_->directory.empty()) return files;
  for (const auto& entry : std::filesystem::directory_iterator(state_->directory)) {
    std::error_code error;
    if (!entry.is_regular_file(error) || is_weight_file(entry.path())) continue;
    if (entry.file_size(error) <= side_file_limit && !error) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace halftone
