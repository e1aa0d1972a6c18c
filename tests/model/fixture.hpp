// The tiny models of tests/data/models, and copies of them with something changed.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/helpers.hpp"
#include "halftone/format/safetensors.hpp"
#include "halftone/format/safetensors_writer.hpp"
#include "halftone/model/model.hpp"

namespace halftone::test {

/// Every fixture; tests that hold for any model run over all of them.
inline constexpr const char* fixtures[] = {
    "llama_gqa",       "llama_gqa_bf16", "llama_gqa_sharded", "llama3_rope_tied", "mistral_window",
    "qwen2_bias_tied", "qwen3_qk_norm",  "phi3_fused",        "gemma2",           "opt",
    "opt_postnorm",
};

/// Fixtures of models that read images: a window is a class token and 4 x 4 patches.
inline constexpr const char* image_fixtures[] = {"timm_eva02_base", "timm_eva02_tiny"};
inline constexpr Index image_tokens = 17;

/// All of both, for tests that look at configs and programs alone.
inline std::vector<std::string> all_fixtures() {
  std::vector<std::string> all(std::begin(fixtures), std::end(fixtures));
  all.insert(all.end(), std::begin(image_fixtures), std::end(image_fixtures));
  return all;
}
/// Tokens of a window: any number will do where the model reads text.
inline Index window_of(const std::string& name, Index of_text) {
  const bool image = std::find(std::begin(image_fixtures), std::end(image_fixtures), name) != std::end(image_fixtures);
  return image ? image_tokens : of_text;
}

inline std::filesystem::path model_folder(const std::string& name) {
  return std::filesystem::path(HALFTONE_TEST_DATA) / "models" / name;
}

/// The int32 tensor [windows, length] of a file that holds nothing else.
inline Matrix<std::int32_t> read_ids(const std::filesystem::path& file) {
  const SafetensorsFile tensors(file);
  const TensorInfo& info = tensors.tensors().at(0);
  Matrix<std::int32_t> ids(info.shape.at(0), info.shape.at(1));
  std::memcpy(ids.data(), tensors.bytes(info.name).data(), static_cast<std::size_t>(info.bytes()));
  return ids;
}

/// A float32 tensor of a file, its last dimension as columns.
inline Matrix<float> read_rows(const std::filesystem::path& file, const std::string& name) {
  const SafetensorsFile tensors(file);
  const TensorInfo& info = tensors.info(name);
  REQUIRE(info.dtype == DType::F32);
  Matrix<float> rows(info.elements() / info.shape.back(), info.shape.back());
  std::memcpy(rows.data(), tensors.bytes(name).data(), static_cast<std::size_t>(info.bytes()));
  return rows;
}

/// Largest absolute difference.
template <class A, class B>
double distance(const Matrix<A>& a, const Matrix<B>& b) {
  REQUIRE(a.rows() == b.rows());
  REQUIRE(a.cols() == b.cols());
  double most = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    most = d <= most ? most : d;  // a NaN stays
  }
  return most;
}

/// A writable copy of a fixture.
class ModelCopy {
 public:
  explicit ModelCopy(const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator(model_folder(name)))
      std::filesystem::copy_file(entry.path(), folder_ / entry.path().filename().string());
  }
  const std::filesystem::path& path() const { return folder_.path(); }

  void change_config(const std::function<void(Json&)>& change) {
    Json config = read_json(folder_ / "config.json");
    change(config);
    put(folder_ / "config.json", config.dump());
  }
  /// Writes all tensors again: `rename` gives the new name, or an empty one to leave the tensor out; `extra` is added,
  /// with zeros, or ones where its name says so.
  void change_tensors(const std::function<std::string(const std::string&)>& rename,
                      const std::vector<TensorInfo>& extra = {}, float extra_value = 0) {
    const auto file = folder_ / "model.safetensors", other = folder_ / "changed.safetensors";
    {
      const SafetensorsFile source(file);
      std::vector<TensorInfo> infos = extra;
      for (TensorInfo info : source.tensors())
        if (!(info.name = rename(info.name)).empty()) infos.push_back(info);
      SafetensorsWriter writer(other, infos, WriteMode::Create);
      for (const TensorInfo& info : source.tensors())
        if (const std::string name = rename(info.name); !name.empty()) writer.write(name, source.bytes(info.name));
      for (const TensorInfo& info : extra) {
        const auto count = static_cast<std::size_t>(info.elements());
        const std::vector<float> values(count, extra_value);
        const std::vector<BFloat16> halves(count, BFloat16(extra_value));
        writer.write(info.name,
                     info.dtype == DType::BF16 ? std::as_bytes(std::span(halves)) : std::as_bytes(std::span(values)));
      }
      writer.finish();
    }
    std::filesystem::rename(other, file);
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace halftone::test
