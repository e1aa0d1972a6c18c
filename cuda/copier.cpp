#include <algorithm>  // min
#include <cstring>

#include "halftone/backend/cuda_copier.hpp"

namespace halftone {

void Copier<Cuda>::upload_bytes(const void* host, void* there, Index bytes) {
  const auto* from = static_cast<const char*>(host);
  auto* to = static_cast<char*>(there);
  for (Index done = 0; done < bytes; done += pinned_.size()) {
    const Index piece = std::min(bytes - done, pinned_.size());
    std::memcpy(pinned_.data(), from + done, static_cast<std::size_t>(piece));
    copy_pinned(pinned_.data(), to + done, piece, Transfer::FromHost);
  }
}

}  // namespace halftone
