#include "pipeline/written_tensors.hpp"

#include <algorithm>  // sort

#include "halftone/core/error.hpp"

namespace halftone {

WrittenTensors::WrittenTensors(const std::filesystem::path& folder, const std::vector<std::string>& files) {
  for (const std::string& name : files) {
    std::filesystem::path path = folder / name;
    if (!std::filesystem::exists(path)) path += ".partial";
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    for (const TensorInfo& tensor : files_.back()->tensors()) {
      by_name_.emplace(tensor.name, files_.back().get());
      tensors_.push_back(tensor);
    }
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

const SafetensorsFile& WrittenTensors::file_of(std::string_view name) const {
  const auto found = by_name_.find(name);
  require(found != by_name_.end(), Status::NotFound, origin({}), ": no tensor '", name, "'");
  return *found->second;
}

void WrittenTensors::release(std::string_view name) const noexcept {
  if (const auto found = by_name_.find(name); found != by_name_.end()) found->second->release(name);
}

std::string WrittenTensors::origin(std::string_view name) const {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second->origin(name);
  return files_.empty() ? "no file" : files_.front()->file().parent_path().string();
}

}  // namespace halftone
