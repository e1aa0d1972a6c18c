// Reading safetensors: one memory-mapped file, or several with an index.
//
// A file is a little-endian u64 header length N, N bytes of JSON (name -> dtype, shape, data_offsets), then the
// tensors' bytes without holes. (https://github.com/huggingface/safetensors) Headers come from strangers: everything
// they say is checked against the file's size before it is used.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/format/tensor_source.hpp"

namespace halftone {

/// What a header says, checked.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;              ///< sorted by name
  std::vector<std::int64_t> offsets;            ///< of each tensor's first byte, from the start of the file
  std::map<std::string, std::string> metadata;  ///< the entry __metadata__
};

/// Reads the header of a file of `file_size` bytes that begins with `head` (8 + N bytes or more). Throws
/// Status::InvalidData, naming `who`, the tensor, got and wanted, for any header that does not describe the file
/// exactly: every byte after the header belongs to one tensor, and each tensor has the bytes of its type and shape.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, std::int64_t file_size,
                                           std::string_view who);

/// One file. Mapped: nothing but the header is read before a tensor is touched.
class SafetensorsFile final : public TensorSource {
 public:
  /// Throws Status::NotFound, Status::Io; Status::InvalidData for a malformed file.
  explicit SafetensorsFile(const std::filesystem::path& file);
  ~SafetensorsFile() override;

  const std::filesystem::path& file() const;
  const std::map<std::string, std::string>& metadata() const;

  const std::vector<TensorInfo>& tensors() const override;
  std::span<const std::byte> bytes(std::string_view name) const override;
  void release(std::string_view name) const noexcept override;
  std::string origin(std::string_view name) const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The shards that a model.safetensors.index.json lists, as one set of tensors.
class ShardedSource final : public TensorSource {
 public:
  /// Throws Status::NotFound for a missing index or shard; Status::InvalidData for a malformed index or shard, a shard
  /// name that is not a plain file name, a tensor that its shard lacks, and a tensor that two shards hold.
  explicit ShardedSource(const std::filesystem::path& index);
  ~ShardedSource() override;

  const std::vector<TensorInfo>& tensors() const override;
  std::span<const std::byte> bytes(std::string_view name) const override;
  void release(std::string_view name) const noexcept override;
  std::string origin(std::string_view name) const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The weights of a checkpoint directory: model.safetensors, or the shards of model.safetensors.index.json.
/// Throws Status::NotFound, naming what was looked for, and what the readers throw.
std::unique_ptr<TensorSource> open_weights(const std::filesystem::path& directory);

}  // namespace halftone
