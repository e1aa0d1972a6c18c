#include "halftone/format/safetensors.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>  // sort
#include <nlohmann/json.hpp>

#include "format/mapped_file.hpp"
#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/json.hpp"

namespace halftone {

struct SafetensorsFile::State {
  std::filesystem::path file;
  MappedFile mapped;
  SafetensorsHeader header;

  explicit State(const std::filesystem::path& path)
      : file(path),
        mapped(path),
        header(parse_safetensors_header(mapped.bytes(), static_cast<std::int64_t>(mapped.bytes().size()),
                                        path.string())) {}
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& file) : state_(std::make_unique<State>(file)) {}
SafetensorsFile::~SafetensorsFile() = default;

const std::filesystem::path& SafetensorsFile::file() const { return state_->file; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return state_->header.metadata; }
const std::vector<TensorInfo>& SafetensorsFile::tensors() const { return state_->header.tensors; }
std::string SafetensorsFile::origin(std::string_view) const { return state_->file.string(); }

std::span<const std::byte> SafetensorsFile::bytes(std::string_view name) const {
  const TensorInfo& found = info(name);
  const auto place = static_cast<std::size_t>(&found - state_->header.tensors.data());
  return state_->mapped.bytes().subspan(static_cast<std::size_t>(state_->header.offsets[place]),
                                        static_cast<std::size_t>(found.bytes()));
}

void SafetensorsFile::release(std::string_view name) const noexcept {
  if (find(name) == nullptr) return;
  const auto tensor = bytes(name);
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(tensor.data()) + tensor.size();
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

struct ShardedSource::State {
  std::filesystem::path index;
  std::vector<std::unique_ptr<SafetensorsFile>> shards;
  std::vector<TensorInfo> tensors;             // sorted by name
  std::vector<const SafetensorsFile*> owners;  // of each tensor
};

namespace {

/// The names of the shards that `weight_map` mentions. A shard lies beside its index: nothing may lead elsewhere.
std::vector<std::string> shard_names(const nlohmann::json& weight_map, std::string_view who) {
  std::vector<std::string> names;
  for (const auto& [tensor, shard] : weight_map.items()) {
    require(shard.is_string(), Status::InvalidData, who, ": weight_map of tensor ", in_quotes(tensor),
            " is no text, wanted the name of a file");
    const auto& name = shard.get_ref<const std::string&>();
    const bool plain = name.ends_with(".safetensors") && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
    require(plain, Status::InvalidData, who, ": shard ", in_quotes(name), " of tensor ", in_quotes(tensor),
            ", wanted the plain name of a .safetensors file beside the index");
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace

ShardedSource::ShardedSource(const std::filesystem::path& index) : state_(std::make_unique<State>()) {
  state_->index = index;
  const std::string who = index.string();
  const auto document = read_json<nlohmann::json>(index);
  const bool has_map = document.is_object() && document.contains("weight_map") && document["weight_map"].is_object();
  require(has_map, Status::InvalidData, who, ": no object 'weight_map'");
  const auto& weight_map = document["weight_map"];

  std::vector<std::pair<const TensorInfo*, const SafetensorsFile*>> all;
  for (const std::string& name : shard_names(weight_map, who)) {
    state_->shards.push_back(std::make_unique<SafetensorsFile>(index.parent_path() / name));
    const SafetensorsFile& shard = *state_->shards.back();
    for (const TensorInfo& info : shard.tensors()) all.emplace_back(&info, &shard);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first->name < b.first->name; });
  for (const auto& [info, shard] : all) {
    if (!state_->tensors.empty() && state_->tensors.back().name == info->name)
      fail(Status::InvalidData, who, ": tensor ", in_quotes(info->name), " is in two shards, ",
           state_->owners.back()->file().filename().string(), " and ", shard->file().filename().string());
    state_->tensors.push_back(*info);
    state_->owners.push_back(shard);
  }
  for (const auto& [tensor, shard] : weight_map.items())
    if (find(tensor) == nullptr || origin(tensor) != (index.parent_path() / shard.get<std::string>()).string())
      fail(Status::InvalidData, who, ": shard ", in_quotes(shard.get<std::string>()), " has no tensor ",
           in_quotes(tensor));
}
ShardedSource::~ShardedSource() = default;

const std::vector<TensorInfo>& ShardedSource::tensors() const { return state_->tensors; }

std::span<const std::byte> ShardedSource::bytes(std::string_view name) const {
  return state_->owners[static_cast<std::size_t>(&info(name) - state_->tensors.data())]->bytes(name);
}

void ShardedSource::release(std::string_view name) const noexcept {
  if (const TensorInfo* found = find(name))
    state_->owners[static_cast<std::size_t>(found - state_->tensors.data())]->release(name);
}

std::string ShardedSource::origin(std::string_view name) const {
  const TensorInfo* found = name.empty() ? nullptr : find(name);
  return found == nullptr ? state_->index.string()
                          : state_->owners[static_cast<std::size_t>(found - state_->tensors.data())]->origin(name);
}

std::unique_ptr<TensorSource> open_weights(const std::filesystem::path& directory) {
  std::error_code ignored;
  require(std::filesystem::is_directory(directory, ignored), Status::NotFound, directory.string(),
          ": no such directory");
  const auto single = directory / "model.safetensors", index = directory / "model.safetensors.index.json";
  if (std::filesystem::exists(single, ignored)) return std::make_unique<SafetensorsFile>(single);
  if (std::filesystem::exists(index, ignored)) return std::make_unique<ShardedSource>(index);
  fail(Status::NotFound, directory.string(), ": no weights, wanted model.safetensors or model.safetensors.index.json");
}

}  // namespace halftone
