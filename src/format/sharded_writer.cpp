#include <algorithm>  // lower_bound, sort
#include <cstdio>     // snprintf
#include <nlohmann/json.hpp>

#include "format/file.hpp"
#include "format/message.hpp"
#include "halftone/format/json.hpp"
#include "halftone/format/safetensors_writer.hpp"

namespace halftone {
namespace {

std::string shard_name(std::size_t number, std::size_t count) {
  if (count == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", number, count);
  return name;
}

/// Deals the tensors out in their order.
std::vector<std::vector<TensorInfo>> plan_shards(const std::vector<TensorInfo>& tensors, std::int64_t shard_bytes) {
  std::vector<std::vector<TensorInfo>> shards(1);
  std::int64_t filled = 0;
  for (const TensorInfo& info : tensors) {
    const std::int64_t bytes = info.bytes();
    if (!shards.back().empty() && bytes > shard_bytes - filled) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(info);
    filled += bytes;
  }
  return shards;
}

}  // namespace

struct ShardedWriter::State {
  std::filesystem::path directory;
  std::vector<std::string> files;
  std::vector<SafetensorsWriter> writers;
  std::vector<std::pair<std::string, std::size_t>> places;  // tensor, its file; sorted
  std::int64_t tensor_bytes = 0, file_bytes = 0;

  SafetensorsWriter& writer_of(std::string_view name) {
    const auto place =
        std::lower_bound(places.begin(), places.end(), name,
                         [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
    const bool found = place != places.end() && place->first == name;
    if (!found) fail(Status::NotFound, directory.string(), ": no tensor ", in_quotes(name), " was announced");
    return writers[place->second];
  }
};

ShardedWriter::ShardedWriter(const std::filesystem::path& directory, const std::vector<TensorInfo>& tensors,
                             WriteMode mode, std::int64_t shard_bytes)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.directory = directory;
  const auto shards = plan_shards(tensors, shard_bytes);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const TensorInfo& info : shards[i]) {
      state.places.emplace_back(info.name, i);
      state.tensor_bytes += info.bytes();
    }
    state.files.push_back(shard_name(i + 1, shards.size()));
    state.file_bytes += SafetensorsWriter::file_bytes(shards[i]);
  }
  std::sort(state.places.begin(), state.places.end());
  for (std::size_t i = 1; i < state.places.size(); ++i)
    require(state.places[i].first != state.places[i - 1].first, Status::InvalidArgument, directory.string(),
            ": tensor ", in_quotes(state.places[i].first), " occurs twice");
  for (std::size_t i = 0; i < shards.size(); ++i)
    state.writers.emplace_back(directory / state.files[i], shards[i], mode);
}
ShardedWriter::~ShardedWriter() = default;
ShardedWriter::ShardedWriter(ShardedWriter&&) noexcept = default;

void ShardedWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  state_->writer_of(name).write(name, bytes);
}

void ShardedWriter::mark_written(std::string_view name) { state_->writer_of(name).mark_written(name); }

void ShardedWriter::sync() {
  for (SafetensorsWriter& writer : state_->writers) writer.sync();
}

void ShardedWriter::finish() {
  for (SafetensorsWriter& writer : state_->writers) writer.finish();
  if (state_->files.size() == 1) return;
  nlohmann::json index;  // sorted keys, as transformers writes it
  index["metadata"]["total_size"] = state_->tensor_bytes;
  for (const auto& [name, file] : state_->places) index["weight_map"][name] = state_->files[file];
  write_file(state_->directory / "model.safetensors.index.json", index.dump(2) + "\n");
}

const std::vector<std::string>& ShardedWriter::files() const { return state_->files; }
std::int64_t ShardedWriter::total_bytes() const { return state_->file_bytes; }

}  // namespace halftone
