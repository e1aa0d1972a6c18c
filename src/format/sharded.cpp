#include <algorithm>  // sort
#include <nlohmann/json.hpp>
#include <set>

#include "format/mapped_file.hpp"
#include "format/message.hpp"
#include "format/shard_index.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/json.hpp"
#include "halftone/format/safetensors.hpp"

namespace halftone {

ShardIndex parse_shard_index(std::string_view text, std::string_view who) {
  const auto document = parse_json<nlohmann::json>(text, who);
  const bool has_map = document.is_object() && document.contains("weight_map") && document["weight_map"].is_object();
  require(has_map, Status::InvalidData, who, ": no object 'weight_map'");
  ShardIndex index;
  for (const auto& [tensor, shard] : document["weight_map"].items()) {
    require(shard.is_string(), Status::InvalidData, who, ": weight_map of tensor ", in_quotes(tensor),
            " is no text, wanted the name of a file");
    const auto& name = shard.get_ref<const std::string&>();
    const bool plain = name.ends_with(".safetensors") && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
    require(plain, Status::InvalidData, who, ": shard ", in_quotes(name), " of tensor ", in_quotes(tensor),
            ", wanted the plain name of a .safetensors file beside the index");
    index.emplace(tensor, name);
  }
  return index;
}

struct ShardedSource::State {
  std::filesystem::path index;
  std::vector<std::unique_ptr<SafetensorsFile>> shards;
  std::vector<TensorInfo> tensors;             // sorted by name
  std::vector<const SafetensorsFile*> owners;  // of each tensor

  /// Takes in the tensors of every shard, sorted; none may occur twice.
  void merge() {
    std::vector<std::pair<const TensorInfo*, const SafetensorsFile*>> all;
    for (const auto& shard : shards)
      for (const TensorInfo& info : shard->tensors()) all.emplace_back(&info, shard.get());
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first->name < b.first->name; });
    for (const auto& [info, shard] : all) {
      if (!tensors.empty() && tensors.back().name == info->name)
        fail(Status::InvalidData, index.string(), ": tensor ", in_quotes(info->name), " is in two shards, ",
             owners.back()->file().filename().string(), " and ", shard->file().filename().string());
      tensors.push_back(*info);
      owners.push_back(shard);
    }
  }
};

ShardedSource::ShardedSource(const std::filesystem::path& index) : state_(std::make_unique<State>()) {
  state_->index = index;
  const MappedFile mapped(index);
  const auto bytes = mapped.bytes();
  const ShardIndex files =
      parse_shard_index({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, index.string());
  std::set<std::string> names;
  for (const auto& [tensor, file] : files) names.insert(file);
  for (const std::string& name : names)
    state_->shards.push_back(std::make_unique<SafetensorsFile>(index.parent_path() / name));
  state_->merge();
  for (const auto& [tensor, file] : files)
    if (find(tensor) == nullptr || origin(tensor) != (index.parent_path() / file).string())
      fail(Status::InvalidData, index.string(), ": shard ", in_quotes(file), " has no tensor ", in_quotes(tensor));
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

}  // namespace halftone
