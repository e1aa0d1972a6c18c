// What a fuzzer does with the files of a checkpoint: read them, and use what was read. Only an Error may come out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "format/shard_index.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/format.hpp"
#include "halftone/format/safetensors.hpp"

namespace halftone::test {

/// A safetensors file in memory.
class BytesSource final : public TensorSource {
 public:
  explicit BytesSource(std::string_view file)
      : file_(std::as_bytes(std::span(file))),
        header_(parse_safetensors_header(file_, static_cast<std::int64_t>(file.size()), "fuzz")) {}
  const std::vector<TensorInfo>& tensors() const override { return header_.tensors; }
  std::span<const std::byte> bytes(std::string_view name) const override {
    const TensorInfo& found = info(name);
    const auto offset = header_.offsets[static_cast<std::size_t>(&found - header_.tensors.data())];
    require(offset >= 8 && offset + found.bytes() <= static_cast<std::int64_t>(file_.size()), Status::Internal,
            "tensor beyond the file");
    return file_.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(found.bytes()));
  }

 private:
  std::span<const std::byte> file_;
  SafetensorsHeader header_;
};

/// Runs `action`; errors other than Internal are what hostile input deserves.
template <class Action>
void refuse_or_run(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.status() == Status::Internal) throw;
  }
}

/// Decodes `module` of `source` in every format.
inline void try_module(const TensorSource& source, const Json& config, std::string_view module) {
  for (const Format* format : formats())
    refuse_or_run([&] {
      format->stored(source, config, module);
      if (const auto matrix = format->decode(source, config, module)) dequantize(*matrix);
    });
}

/// The config that tensors are decoded with: every width, so that shapes alone decide; native settings of `n` and `p`.
inline Json any_width() {
  Json groups = Json::object();
  for (const int bits : {4, 3, 8}) groups["g" + std::to_string(bits)] = {{"weights", {{"num_bits", bits}}}};
  const Json uniform = {
      {"coding", "uniform"}, {"bits", 3}, {"group_size", 16}, {"group_index", true}, {"outliers", true}};
  const Json binary = {{"coding", "binary"}, {"bits", 2}, {"group_size", 16}, {"modules", {"p"}}};
  return {{"quantization_config",
           {{"config_groups", groups}, {"group_size", 32}, {"version", 1}, {"settings", {uniform, binary}}}}};
}

inline void try_safetensors(std::string_view bytes) {
  refuse_or_run([&] {
    const BytesSource source(bytes);
    const Json config = any_width();
    for (const TensorInfo& info : source.tensors()) {
      source.bytes(info.name);
      refuse_or_run([&] { source.matrix(info.name); });
      try_module(source, config, info.name.substr(0, info.name.rfind('.')));
    }
  });
}

inline void try_shard_index(std::string_view bytes) {
  refuse_or_run([&] {
    for (const auto& [tensor, file] : parse_shard_index(bytes, "fuzz"))
      require(file.find('/') == std::string::npos, Status::Internal, "a path got through");
  });
}

/// `weights`: a safetensors file whose quantised modules are decoded with the config.
inline void try_config(std::string_view bytes, const TensorSource& weights) {
  refuse_or_run([&] {
    Json config = parse_json(bytes, "fuzz");
    json_text(config);
    refuse_or_run([&] { detect_format(config); });
    for (const TensorInfo& info : weights.tensors())
      try_module(weights, config, info.name.substr(0, info.name.rfind('.')));
    if (!config.is_object()) return;
    MatrixPlan plan;
    plan.module = "m";
    for (const Format* format : formats()) format->describe(config, std::span(&plan, 1), {});
  });
}

/// Small modules: `g` in the formats gptq, `c` in compressed-tensors, `n` and `p` native, of uniform and binary coding.
inline std::string small_weights() {
  std::string header = "{", data;
  const auto add = [&](const char* name, const char* type, const char* shape, std::size_t bytes,
                       std::initializer_list<std::pair<std::size_t, char>> set = {}) {
    const std::string offsets = std::to_string(data.size()) + "," + std::to_string(data.size() + bytes);
    header += std::string(header.size() > 1 ? "," : "") + "\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" +
              shape + R"(,"data_offsets":[)" + offsets + "]}";
    data.append(bytes, '\0');
    for (const auto& [at, value] : set) data[data.size() - bytes + at] = value;
  };
  add("g.g_idx", "I32", "[32]", 128);
  add("g.qweight", "I32", "[4,32]", 512);
  add("g.qzeros", "I32", "[1,4]", 16);
  add("g.scales", "F16", "[1,32]", 64);
  add("c.weight_packed", "I32", "[2,4]", 32);
  add("c.weight_shape", "I64", "[2]", 16, {{0, 2}, {8, 32}});
  add("c.weight_zero_point", "I32", "[1,2]", 8);
  add("c.weight_scale", "F16", "[2,2]", 8);
  add("n.shape", "I64", "[2]", 16, {{0, 2}, {8, 33}});
  add("n.codes", "I32", "[2,4]", 32);
  add("n.scales", "F16", "[2,3]", 12);
  add("n.zeros", "I32", "[1,3]", 12);
  add("n.group_index", "I32", "[33]", 132, {{128, 2}});
  add("n.outlier_columns", "I32", "[2]", 8, {{4, 32}});
  add("n.outlier_values", "F16", "[2,2]", 8);
  add("p.shape", "I64", "[2]", 16, {{0, 2}, {8, 33}});
  add("p.planes", "I32", "[2,2,2]", 32);
  add("p.alphas", "F16", "[2,6]", 24);
  add("p.biases", "F16", "[2,3]", 12);
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> 8 * i & 0xff);
  return file + header + data;
}

}  // namespace halftone::test
