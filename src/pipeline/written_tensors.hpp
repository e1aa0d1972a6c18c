// Reads back what a ShardedWriter has written so far, through mappings of its own: the files have their full size and
// header from the start.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "halftone/format/safetensors.hpp"

namespace halftone {

class WrittenTensors final : public TensorSource {
 public:
  /// Opens `files` of `folder`, finished ones or their `.partial`. Throws what SafetensorsFile throws.
  WrittenTensors(const std::filesystem::path& folder, const std::vector<std::string>& files);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  std::span<const std::byte> bytes(std::string_view name) const override { return file_of(name).bytes(name); }
  void release(std::string_view name) const noexcept override;
  std::string origin(std::string_view name) const override;

 private:
  const SafetensorsFile& file_of(std::string_view name) const;

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, const SafetensorsFile*, std::less<>> by_name_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace halftone
