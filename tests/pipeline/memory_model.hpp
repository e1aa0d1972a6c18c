// What the tests of models in memory share: a checkpoint over a program's tensors, what a run sent, and sources that
// catch their readers' mistakes.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "halftone/format/host_tensors.hpp"
#include "halftone/pipeline/quantize_tensors.hpp"
#include "pipeline/run_support.hpp"

namespace halftone::test {

/// Hands out the tensors of a checkpoint directory; `before` is called before each piece.
inline TensorReader reader_of(
    const Checkpoint& directory, std::function<void()> before = [] {}) {
  return [&directory, before](std::string_view name, std::int64_t offset, std::span<std::byte> into) {
    before();
    const auto bytes = directory.tensors().bytes(name).subspan(static_cast<std::size_t>(offset), into.size());
    std::copy(bytes.begin(), bytes.end(), into.begin());
  };
}

inline std::vector<HostTensor> described(const TensorSource& source) {
  std::vector<HostTensor> list;
  for (const TensorInfo& info : source.tensors()) list.push_back({info, nullptr});
  return list;
}

/// The checkpoint of a directory as a model in memory.
inline Checkpoint in_memory(const Checkpoint& directory, TensorReader read) {
  auto tensors = std::make_unique<HostTensors>(described(directory.tensors()), std::move(read));
  return Checkpoint(directory.config(), std::move(tensors), "the engine");
}

/// Copies bytes when they are asked for and spoils the copy when they are released: who still reads it computes
/// another result, and an address sanitizer sees it.
class SpoilingSource final : public TensorSource {
 public:
  explicit SpoilingSource(const TensorSource& source, std::set<std::string>& held) : source_(source), held_(held) {}
  const std::vector<TensorInfo>& tensors() const override { return source_.tensors(); }
  std::span<const std::byte> bytes(std::string_view name) const override {
    const auto original = source_.bytes(name);
    const auto [place, fresh] = copies_.try_emplace(std::string(name));
    if (fresh) place->second.assign(original.begin(), original.end());
    held_.insert(std::string(name));
    return place->second;
  }
  void release(std::string_view name) const noexcept override {
    const auto place = copies_.find(name);
    if (place == copies_.end()) return;
    std::fill(place->second.begin(), place->second.end(), std::byte{0xff});
    copies_.erase(place);
    held_.erase(std::string(name));
  }

 private:
  const TensorSource& source_;
  std::set<std::string>& held_;
  mutable std::map<std::string, std::vector<std::byte>, std::less<>> copies_;
};

/// Keeps what a run sends.
class Received {
 public:
  TensorReceiver receiver() {
    return [this](const TensorInfo& info, std::span<const std::byte> bytes) {
      REQUIRE(info.bytes() == static_cast<std::int64_t>(bytes.size()));
      REQUIRE(tensors_.emplace(info.name, std::pair{info, std::vector<std::byte>(bytes.begin(), bytes.end())}).second);
    };
  }
  std::size_t count() const { return tensors_.size(); }
  bool operator==(const Received& other) const {
    return std::equal(
        tensors_.begin(), tensors_.end(), other.tensors_.begin(), other.tensors_.end(),
        [](const auto& a, const auto& b) { return a.first == b.first && a.second.second == b.second.second; });
  }

  /// The new model: what was sent, and what stays of `original`. All of these must outlive it.
  Checkpoint model(const TensorsResult& result, const Checkpoint& original) const {
    std::vector<HostTensor> list;
    for (const auto& [name, tensor] : tensors_) list.push_back({tensor.first, tensor.second.data()});
    for (const std::string& name : result.unchanged)
      list.push_back({original.tensors().info(name), original.tensors().bytes(name).data()});
    return Checkpoint(parse_json(result.config, "config"), std::make_unique<HostTensors>(std::move(list)), "result");
  }

 private:
  std::map<std::string, std::pair<TensorInfo, std::vector<std::byte>>> tensors_;
};

inline bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// True if both checkpoints hold the same tensors with the same bytes; says which differ.
inline bool same_tensors(const Checkpoint& a, const Checkpoint& b) {
  bool same = a.tensors().tensors().size() == b.tensors().tensors().size();
  for (const TensorInfo& info : a.tensors().tensors()) {
    const TensorInfo* other = b.tensors().find(info.name);
    const bool equal = other != nullptr && other->dtype == info.dtype && other->shape == info.shape &&
                       same_bytes(a.tensors().bytes(info.name), b.tensors().bytes(info.name));
    if (!equal) WARN(info.name << (other == nullptr ? " is missing" : " differs"));
    same = same && equal;
  }
  return same;
}

}  // namespace halftone::test
