// Writing safetensors whose tensors are known beforehand: the header goes first, the file gets its full size at once (a
// full disk is found before work is spent), and each tensor is put in its place when it is ready, in any order.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "halftone/format/tensor_source.hpp"

namespace halftone {

enum class WriteMode : std::int32_t {
  Create = 0,  ///< a new file; an unfinished one of that name is overwritten, a finished one is refused
  Resume =
      1,  ///< continue an unfinished (or finished) file whose header is equal byte for byte; create if there is none
};

/// One file. It is called `<file>.partial` until finish() renames it.
class SafetensorsWriter {
 public:
  /// Order in the file is the reference writer's (wider types first, then by name) whatever the order given.
  /// Throws Status::InvalidArgument for two tensors of one name; Status::Conflict where `mode` does not fit what is
  /// there; Status::Io, with bytes needed, where the disk is full or the folder cannot be written.
  SafetensorsWriter(const std::filesystem::path& file, std::vector<TensorInfo> tensors, WriteMode mode);
  ~SafetensorsWriter();
  SafetensorsWriter(SafetensorsWriter&&) noexcept;

  /// Puts a whole tensor in its place. From any thread. Throws Status::NotFound for an unknown name,
  /// Status::ShapeMismatch for another number of bytes, Status::Io.
  void write(std::string_view name, std::span<const std::byte> bytes);
  /// The journal of an earlier run says that this tensor is in its place. Throws Status::NotFound.
  void mark_written(std::string_view name);
  /// Flushes what was written to the disk: after this a journal may say so. Throws Status::Io.
  void sync();
  /// Flushes and renames. Throws Status::Internal, naming a tensor, if one was not written; Status::Io.
  void finish();

  /// Bytes of a file that holds these tensors, header included.
  static std::int64_t file_bytes(const std::vector<TensorInfo>& tensors);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Files of one checkpoint: `model.safetensors`, or `model-00001-of-0000N.safetensors` and the index.
class ShardedWriter {
 public:
  /// Tensors are dealt out in the order given, a new file whenever `shard_bytes` of tensors would be passed; a larger
  /// tensor has a file of its own. Throws what SafetensorsWriter does.
  ShardedWriter(const std::filesystem::path& directory, const std::vector<TensorInfo>& tensors, WriteMode mode,
                std::int64_t shard_bytes = default_shard_bytes);
  ~ShardedWriter();
  ShardedWriter(ShardedWriter&&) noexcept;
  static constexpr std::int64_t default_shard_bytes = 5'000'000'000;  // transformers' default

  void write(std::string_view name, std::span<const std::byte> bytes);
  void mark_written(std::string_view name);
  void sync();
  /// Finishes every file, then writes the index.
  void finish();

  /// Names of the files, in order; without the index.
  const std::vector<std::string>& files() const;
  /// Bytes of all files together, headers included, without the index.
  std::int64_t total_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
