// Named tensors wherever they come from: files (safetensors.hpp), the memory of a program (host_tensors.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/core/dtype.hpp"
#include "halftone/core/matrix.hpp"

namespace halftone {

/// Name, type and shape of a stored tensor.
struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;  ///< row-major; [] is a scalar

  std::int64_t elements() const;  ///< product of the shape; throws Status::InvalidData on overflow or a negative size
  std::int64_t bytes() const { return dtype_bytes(dtype, elements()); }
};

/// Read access to a set of tensors. Implementations are safe to read from several threads; but a source may ask the
/// program for the bytes (host_tensors.hpp), on the thread that reads. So work in parallel takes the bytes before it
/// begins, on the thread that it was called on.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Every tensor, sorted by name.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  /// The tensor's bytes, little-endian and row-major, at any alignment: valid until release(name), and no longer than
  /// the source. Throws Status::NotFound.
  virtual std::span<const std::byte> bytes(std::string_view name) const = 0;
  /// The caller has done with the tensor for now: the span that bytes() gave must not be read any more, by any thread;
  /// a later bytes() brings them again. A mapped file gives its pages back, fetched bytes are freed, so that what a
  /// walk over a large checkpoint holds is what it works on. A name that is not there is passed over.
  virtual void release(std::string_view name) const noexcept { static_cast<void>(name); }
  /// release() of all tensors of a module, <module>.<suffix>.
  void release_module(std::string_view module) const noexcept;
  /// Where a tensor comes from (its file), for messages; with an empty name, where the whole source does.
  virtual std::string origin(std::string_view name) const;

  /// Null if there is no tensor of that name.
  const TensorInfo* find(std::string_view name) const;
  /// Throws Status::NotFound, naming the source and the tensor.
  const TensorInfo& info(std::string_view name) const;
  /// Two-dimensional floating tensor, widened to float [rows, cols]; a one-dimensional one comes as one row.
  /// Throws Status::InvalidData for other ranks, types, and for NaN or infinite elements (it says where).
  Matrix<float> matrix(std::string_view name) const;
  /// A tensor of bfloat16 numbers as it is stored, in the shape of matrix(). Throws as that does, and
  /// Status::InvalidData for other types.
  Matrix<BFloat16> halves(std::string_view name) const;
  /// As matrix(), but only rows [first, first + count).
  Matrix<float> matrix_rows(std::string_view name, Index first, Index count) const;
  /// All numbers of a floating tensor of any rank, in the order in which they are stored, as rows of `cols`. Throws as
  /// matrix() does, and Status::InvalidData where they are not whole rows.
  Matrix<float> reshaped(std::string_view name, Index cols) const;
};

}  // namespace halftone
