// Tensors that a program holds: in its memory, or behind a function that hands them out piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/format/tensor_source.hpp"

namespace halftone {

/// One tensor of a program.
struct HostTensor {
  TensorInfo info;
  /// info.bytes() bytes, little-endian and row-major, at any alignment. They must stay where and what they are as long
  /// as the source lives. Null: the source's reader is asked for them.
  const void* data = nullptr;
};

/// Fills `into` with the bytes of tensor `name` from `offset` on; all of them, at most host_piece_bytes at once, in
/// ascending order. May throw: the exception comes out of whatever asked for the tensor (an Error perhaps with the
/// module's name before its text), and nothing of the tensor is kept.
using TensorReader = std::function<void(std::string_view name, std::int64_t offset, std::span<std::byte> into)>;

/// Largest piece that a TensorReader is asked for.
inline constexpr std::int64_t host_piece_bytes = std::int64_t{64} << 20;

/// Tensors with data are never copied. One without is fetched whole when its bytes are asked for, kept until they are
/// released, and fetched again after that: release what was read, or the source grows to the size of the model.
///
/// The reader runs on the thread that calls bytes(), matrix() or matrix_rows(), and under no lock. The library calls
/// these on the thread that runs the job, never inside its parallel loops. Where two threads ask at once for a tensor
/// that is not there yet, both fetch it and one copy is kept.
class HostTensors final : public TensorSource {
 public:
  /// The list may be in any order; `name` is for messages. Throws Status::InvalidArgument for a name that is empty or
  /// occurs twice, and for a tensor that has bytes but neither data nor reader; Status::InvalidData for a negative size
  /// and for tensors of 2^63 bytes or more.
  explicit HostTensors(std::vector<HostTensor> tensors, TensorReader read = {},
                       std::string name = "tensors of the program");
  ~HostTensors() override;

  const std::vector<TensorInfo>& tensors() const override;
  std::span<const std::byte> bytes(std::string_view name) const override;
  void release(std::string_view name) const noexcept override;
  std::string origin(std::string_view name) const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace halftone
