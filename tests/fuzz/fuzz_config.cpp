#include <cstddef>
#include <cstdint>

#include "fuzz/checkpoints.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string file = halftone::test::small_weights();
  static const halftone::test::BytesSource weights(file);
  halftone::test::try_config({reinterpret_cast<const char*>(data), size}, weights);
  return 0;
}
