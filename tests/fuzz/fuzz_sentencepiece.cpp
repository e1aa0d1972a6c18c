#include <cstddef>
#include <cstdint>

#include "fuzz/tokenizers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  halftone::test::try_sentencepiece({reinterpret_cast<const char*>(data), size});
  return 0;
}
