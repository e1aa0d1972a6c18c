#include "halftone/backend/cuda_copier.hpp"

#include <algorithm>  // min
#include <cstring>

#include "halftone/core/error.hpp"

namespace halftone {

void Copier<Cuda>::upload(MatrixView<const float> host, MatrixView<float> there) {
  const bool contiguous =
      (host.rows <= 1 || host.stride == host.cols) && (there.rows <= 1 || there.stride == there.cols);
  require(host.rows == there.rows && host.cols == there.cols && contiguous, Status::ShapeMismatch,
          "cuda copier: ", host.rows, " x ", host.cols, " to ", there.rows, " x ", there.cols,
          ", wanted contiguous matrices of one shape");
  const auto* from = reinterpret_cast<const char*>(host.data);
  auto* to = reinterpret_cast<char*>(there.data);
  const Index bytes = host.size() * static_cast<Index>(sizeof(float));
  for (Index done = 0; done < bytes; done += pinned_.size()) {
    const Index piece = std::min(bytes - done, pinned_.size());
    std::memcpy(pinned_.data(), from + done, static_cast<std::size_t>(piece));
    copy_piece(to + done, piece);
  }
}

}  // namespace halftone
