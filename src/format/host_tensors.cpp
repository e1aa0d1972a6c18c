#include "halftone/format/host_tensors.hpp"

#include <algorithm>  // min, sort
#include <mutex>
#include <utility>  // move

#include "format/message.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

struct HostTensors::State {
  std::string name;
  TensorReader read;
  std::vector<TensorInfo> infos;             // sorted by name
  std::vector<const std::byte*> data;        // of each; null where it is fetched
  std::mutex mutex;                          // guards `held`
  std::vector<std::vector<std::byte>> held;  // what was fetched of each and not released

  std::vector<std::byte> fetch(const TensorInfo& info) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(info.bytes()));
    constexpr auto piece = static_cast<std::size_t>(host_piece_bytes);
    for (std::size_t first = 0; first < bytes.size(); first += piece)
      read(info.name, static_cast<std::int64_t>(first),
           std::span(bytes).subspan(first, std::min(piece, bytes.size() - first)));
    return bytes;
  }
};

HostTensors::HostTensors(std::vector<HostTensor> tensors, TensorReader read, std::string name)
    : state_(std::make_unique<State>()) {
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.info.name < b.info.name; });
  State& state = *state_;
  state.name = std::move(name);
  state.read = std::move(read);
  for (HostTensor& tensor : tensors) {
    TensorInfo& info = tensor.info;
    require(!info.name.empty(), Status::InvalidArgument, state.name, ": a tensor has no name");
    require(state.infos.empty() || state.infos.back().name != info.name, Status::InvalidArgument, state.name,
            ": tensor ", in_quotes(info.name), " occurs twice");
    const std::int64_t bytes = info.bytes();
    require(bytes == 0 || tensor.data != nullptr || state.read, Status::InvalidArgument, state.name, ": tensor ",
            in_quotes(info.name), " has ", bytes, " bytes, but neither data nor a function that reads it");
    state.data.push_back(static_cast<const std::byte*>(tensor.data));
    state.infos.push_back(std::move(info));
  }
  state.held.resize(state.infos.size());
}
HostTensors::~HostTensors() = default;

const std::vector<TensorInfo>& HostTensors::tensors() const { return state_->infos; }
std::string HostTensors::origin(std::string_view) const { return state_->name; }

std::span<const std::byte> HostTensors::bytes(std::string_view name) const {
  const TensorInfo& found = info(name);
  const auto place = static_cast<std::size_t>(&found - state_->infos.data()),
             size = static_cast<std::size_t>(found.bytes());
  if (size == 0) return {};
  if (state_->data[place] != nullptr) return {state_->data[place], size};
  std::vector<std::byte>& held = state_->held[place];
  {
    const std::lock_guard lock(state_->mutex);
    if (!held.empty()) return held;
  }
  std::vector<std::byte> fetched = state_->fetch(found);
  const std::lock_guard lock(state_->mutex);
  if (held.empty()) held.swap(fetched);
  return held;
}

void HostTensors::release(std::string_view name) const noexcept {
  const TensorInfo* found = find(name);
  if (found == nullptr) return;
  std::vector<std::byte> freed;
  const std::lock_guard lock(state_->mutex);
  state_->held[static_cast<std::size_t>(found - state_->infos.data())].swap(freed);
}

}  // namespace halftone
