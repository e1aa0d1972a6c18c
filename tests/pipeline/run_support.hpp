// What the tests of a whole run share: token ids, recipes, folders compared byte by byte.
#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "halftone/core/random.hpp"
#include "halftone/pipeline/quantize_model.hpp"
#include "model/fixture.hpp"

namespace halftone::test {

/// A file of random token ids [windows, length], each below `vocabulary`.
inline std::filesystem::path write_ids(const std::filesystem::path& file, Index windows, Index length, Index vocabulary,
                                       std::uint64_t seed = 1) {
  Random random(seed);
  Matrix<std::int32_t> ids(windows, length);
  for (Index i = 0; i < ids.size(); ++i)
    ids.data()[i] = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocabulary)));
  SafetensorsWriter writer(file, {{"ids", DType::I32, {windows, length}}}, WriteMode::Create);
  writer.write("ids", std::as_bytes(std::span<const std::int32_t>(ids.data(), static_cast<std::size_t>(ids.size()))));
  writer.finish();
  return file;
}

/// Changes bytes of one tensor of a file.
inline void edit_tensor(const std::filesystem::path& file, const std::string& name,
                        const std::function<void(std::span<char>)>& change) {
  std::string bytes = slurp(file);
  const auto size = static_cast<std::int64_t>(bytes.size());
  const SafetensorsHeader header = parse_safetensors_header(std::as_bytes(std::span<const char>(bytes)), size, "test");
  for (std::size_t i = 0; i < header.tensors.size(); ++i)
    if (header.tensors[i].name == name)
      change(std::span<char>(bytes).subspan(static_cast<std::size_t>(header.offsets[i]),
                                            static_cast<std::size_t>(header.tensors[i].bytes())));
  put(file, bytes);
}

inline Recipe small_recipe(const std::string& method, const std::filesystem::path& ids) {
  Recipe recipe;
  recipe.method = method;
  recipe.options = {{"bits", "3"}, {"group_size", "8"}};
  recipe.calibration.file = ids;
  return recipe;
}

/// Every file below a folder: relative name -> bytes.
inline std::map<std::string, std::string> contents(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[entry.path().lexically_relative(folder).string()] = slurp(entry.path());
  return files;
}

/// True if both folders hold the same files with the same bytes; says which differ.
inline bool same_folder(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto left = contents(a), right = contents(b);
  for (const auto& [name, bytes] : left) {
    const auto found = right.find(name);
    if (found != right.end() && found->second == bytes) continue;
    WARN(name << (found == right.end() ? " is missing in " : " differs in ") << b);
    return false;
  }
  return left.size() == right.size() && !left.empty();
}

}  // namespace halftone::test
