#include "halftone/format/safetensors.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include "format/mapped_file.hpp"
#include "halftone/core/error.hpp"

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
