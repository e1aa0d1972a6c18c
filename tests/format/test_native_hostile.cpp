// Native files and configs that do not hold together: each is refused, in words.
#include <nlohmann/json.hpp>

#include "format/helpers.hpp"
#include "format/memory_source.hpp"
#include "halftone/format/native.hpp"

using namespace halftone;
using namespace halftone::test;

namespace {

const NativeFormat format;
const std::string module_name = "model.layers.0.mlp.up_proj";

/// A module with all tensors that it may have, and its config.
struct Sample {
  MatrixPlan plan = plan_for(5, 33, 3, 8, false);
  MemorySource file;
  Json config = Json::object();

  explicit Sample(bool binary) {
    plan.binary_coded = binary;
    plan.group_index = true;
    plan.outlier_columns = 2;
    file = encoded(format, plan, random_result(plan));
    format.describe(config, std::span(&plan, 1), std::span<const std::string>());
  }
  template <class T>
  void put(const std::string& suffix, DType type, std::vector<std::int64_t> shape, const std::vector<T>& values) {
    file.put({module_name + suffix, type, std::move(shape)}, std::as_bytes(std::span(values)));
  }
  /// Zeros of another type or shape.
  void reshape(const std::string& suffix, DType type, std::vector<std::int64_t> shape) {
    const TensorInfo info{module_name + suffix, type, std::move(shape)};
    file.put(info, std::vector<std::byte>(static_cast<std::size_t>(info.bytes())));
  }
  Json& setting() { return config["quantization_config"]["settings"][0]; }
  void refused(Status status, std::initializer_list<std::string_view> words) const {
    expect_error(status, words, [&] { format.decode(file, config, module_name); });
  }
  /// By stored() too: headers alone say it.
  void refused_unread(std::initializer_list<std::string_view> words) const {
    expect_error(Status::InvalidData, words, [&] { format.stored(file, config, module_name); });
    refused(Status::InvalidData, words);
  }
};

template <class Change>
void refused_unread(bool binary, std::initializer_list<std::string_view> words, Change&& change) {
  Sample sample(binary);
  change(sample);
  sample.refused_unread(words);
}

}  // namespace

TEST_CASE("native: tensors that do not fit each other are refused from their headers") {
  for (const bool binary : {false, true}) {
    const Sample whole(binary);
    CHECK(format.decode(whole.file, whole.config, module_name) != nullptr);
    for (const TensorInfo& tensor : format.tensors(whole.plan)) {
      const std::string suffix = tensor.name.substr(module_name.size());
      INFO(suffix);
      Sample longer(binary), other(binary), gone(binary);
      std::vector<std::int64_t> shape = tensor.shape;
      ++shape.back();
      longer.reshape(suffix, tensor.dtype, shape);
      longer.refused_unread({suffix == ".outlier_columns" ? ".outlier_values" : suffix});  // which is then too narrow
      other.reshape(suffix, DType::U8, tensor.shape);
      other.refused_unread({suffix});
      gone.file.drop(tensor.name);
      if (suffix == ".codes" || suffix == ".planes")
        CHECK(format.decode(gone.file, gone.config, module_name) == nullptr);
      else
        gone.refused(Status::NotFound, {suffix});
    }
  }
}

TEST_CASE("native: shapes that are none are refused before anything is computed from them") {
  const std::vector<std::vector<std::int64_t>> shapes = {
      {0, 33}, {5, 0}, {-5, 33}, {5, -33}, {5, 32 * 40}, {std::int64_t{1} << 40, 33}, {5, std::int64_t{1} << 62}};
  for (const bool binary : {false, true})
    for (const auto& shape : shapes)
      refused_unread(binary, {module_name}, [&](Sample& s) { s.put(".shape", DType::I64, {2}, shape); });
  refused_unread(false, {".shape"}, [](Sample& s) { s.put<std::int64_t>(".shape", DType::I64, {3}, {5, 33, 1}); });
  refused_unread(false, {".shape"}, [](Sample& s) { s.put<std::int64_t>(".shape", DType::I64, {1, 2}, {5, 33}); });
}

TEST_CASE("native: tensors that the config does not know are refused") {
  refused_unread(false, {".zeros", "config.json"}, [](Sample& s) { s.setting()["symmetric"] = true; });
  refused_unread(false, {".group_index", "config.json"}, [](Sample& s) { s.setting()["group_index"] = false; });
  refused_unread(true, {".outlier_", "config.json"}, [](Sample& s) { s.setting().erase("outliers"); });
  refused_unread(true, {".scales", "config.json"}, [](Sample& s) { s.reshape(".scales", DType::F16, {5, 5}); });
  refused_unread(false, {".planes", "config.json"}, [](Sample& s) { s.reshape(".planes", DType::I32, {3, 5, 2}); });
}

TEST_CASE("native: wrong numbers are refused") {
  for (const bool binary : {false, true}) {
    for (const std::vector<std::int32_t>& columns :
         {std::vector<std::int32_t>{5, 5}, {7, 3}, {-1, 3}, {3, 33}, {3, std::numeric_limits<std::int32_t>::min()}}) {
      Sample sample(binary);
      sample.put(".outlier_columns", DType::I32, {2}, columns);
      sample.refused(Status::InvalidData, {".outlier_columns", "ascending"});
    }
    for (const std::int32_t group : {-1, 5}) {
      Sample sample(binary);
      std::vector<std::int32_t> index(33, 0);
      index[20] = group;
      sample.put(".group_index", DType::I32, {33}, index);
      sample.refused(Status::InvalidData, {".group_index", std::to_string(group), "0 .. 4"});
    }
    for (const char* suffix : {".scales", ".alphas", ".biases", ".outlier_values"})
      for (const int high : {0x7c, 0x7e, 0xfc}) {  // infinity, NaN, −infinity in F16
        Sample sample(binary);
        if (sample.file.find(module_name + suffix) == nullptr) continue;
        auto& bytes = sample.file.data(module_name + suffix);
        bytes[2] = std::byte{0};
        bytes[3] = static_cast<std::byte>(high);
        sample.refused(Status::InvalidData, {suffix, "finite"});
      }
  }
  for (const int high : {0x45, 0xbc}) {  // 5 behind a smaller one, −1
    Sample sample(true);
    sample.file.data(module_name + ".alphas")[2 * 4 + 1] = static_cast<std::byte>(high);  // plane 1 of group 1
    sample.refused(Status::InvalidData, {".alphas", "row 0, column 4", "descend"});
  }
}

TEST_CASE("native: configs that say nothing of a module are refused") {
  const auto config = [](std::initializer_list<std::string_view> words, const std::function<void(Json&)>& change) {
    Sample sample(false);
    change(sample.config["quantization_config"]);
    sample.refused_unread(words);
  };
  config({"settings"}, [](Json& c) { c.erase("settings"); });
  config({"settings"}, [](Json& c) { c["settings"] = 3; });
  config({module_name}, [](Json& c) { c["settings"] = Json::array(); });
  config({module_name}, [](Json& c) { c["settings"] = Json::array({1, nullptr}); });
  config({module_name}, [](Json& c) { c["settings"][0]["modules"] = Json::array({"other", 3}); });
  config({module_name}, [](Json& c) { c["settings"][0]["modules"] = module_name; });
  for (const Json& bits : {Json(1), Json(9), Json(-3), Json("3"), Json(nullptr), Json(3.0), Json(1ll << 40)})
    config({module_name, "'bits'", "2 .. 8"}, [&](Json& c) { c["settings"][0]["bits"] = bits; });
  for (const Json& size : {Json(0), Json(-2), Json("8"), Json(std::numeric_limits<std::int64_t>::min())})
    config({module_name, "'group_size'"}, [&](Json& c) { c["settings"][0]["group_size"] = size; });
  config({".scales"}, [](Json& c) { c["settings"][0]["group_size"] = std::numeric_limits<std::int64_t>::max(); });
  for (const Json& coding : {Json("ternary"), Json(1), Json(nullptr)})
    config({module_name, "'coding'"}, [&](Json& c) { c["settings"][0]["coding"] = coding; });
  for (const char* key : {"symmetric", "group_index", "outliers"})
    config({module_name, key}, [&](Json& c) { c["settings"][0][key] = 1; });
  Sample binary(true);
  binary.setting()["symmetric"] = true;
  binary.refused_unread({module_name, "'symmetric'"});
  Sample none(false);
  none.config.erase("quantization_config");
  none.refused_unread({module_name, "quantization_config"});
}

TEST_CASE("native: a version that this halftone does not know is refused") {
  for (const bool through_detection : {true, false}) {
    const auto refused = [&](const Json& version, Status status, std::initializer_list<std::string_view> words) {
      Sample sample(false);
      sample.config["quantization_config"]["version"] = version;
      expect_error(status, words, [&] {
        if (through_detection)
          detect_format(sample.config);
        else
          format.stored(sample.file, sample.config, module_name);
      });
    };
    refused(2, Status::Unsupported, {"version 2", "reads version 1", "newer"});
    refused(std::numeric_limits<std::int64_t>::max(), Status::Unsupported, {"newer"});
    for (const Json& version : {Json(0), Json(-1), Json("1"), Json(nullptr), Json(1.5)})
      refused(version, Status::InvalidData, {"'version'"});
  }
}
