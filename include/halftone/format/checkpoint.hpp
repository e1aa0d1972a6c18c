// A checkpoint: a directory in Hugging Face layout (config.json, one or several safetensors files, small files beside
// them), or the same in the memory of a program.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/format/format.hpp"
#include "halftone/format/json.hpp"
#include "halftone/format/tensor_source.hpp"

namespace halftone {

/// Read side. Files are memory-mapped: nothing is read until a tensor is asked for.
class Checkpoint {
 public:
  /// A directory.
  /// Throws Status::NotFound (no directory, config.json or weights), Status::InvalidData (malformed files).
  explicit Checkpoint(const std::filesystem::path& directory);
  /// A model in memory: what config.json would hold (from text: parse_json), and its tensors (host_tensors.hpp). `name`
  /// stands for the directory in messages. Throws Status::InvalidArgument for no tensors; Status::InvalidData if the
  /// config is no object; Status::Unsupported for a quantised model in a format that no reader here knows.
  Checkpoint(const Json& config, std::unique_ptr<TensorSource> tensors, std::string name);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;

  /// Empty for a model in memory.
  const std::filesystem::path& directory() const;
  /// For messages and reports: the directory, or the name that a model in memory was given.
  const std::string& name() const;
  const Json& config() const;
  const TensorSource& tensors() const;
  /// How its matrices are quantised; null for a dense checkpoint.
  const Format* format() const;

  /// The weight of a linear module [out, in], widened or decoded. Throws Status::NotFound, Status::InvalidData.
  Matrix<float> weight(std::string_view module) const;
  /// How a module is stored, dense or quantised, from headers and config alone; nothing if it holds no matrix.
  std::optional<StoredMatrix> stored(std::string_view module) const;
  /// The codes of a module; null where it is stored dense.
  std::unique_ptr<QuantizedMatrix> quantized(std::string_view module) const;
  /// Files beside weights and config.json that belong to the model (tokenizer, generation config, licence), sorted. A
  /// model in memory has none.
  std::vector<std::filesystem::path> side_files() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
