#include <cstddef>
#include <cstdint>

#include "fuzz/model_config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  halftone::test::try_model_config({reinterpret_cast<const char*>(data), size});
  return 0;
}
