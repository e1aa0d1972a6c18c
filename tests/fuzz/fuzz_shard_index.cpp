#include <cstddef>
#include <cstdint>

#include "fuzz/checkpoints.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  halftone::test::try_shard_index({reinterpret_cast<const char*>(data), size});
  return 0;
}
