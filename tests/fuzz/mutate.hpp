// Seeded damage to a file's bytes, for the short runs in the tests.
#pragma once

#include <algorithm>
#include <string>

#include "halftone/core/random.hpp"

namespace halftone::test {

/// `bytes` with one to four random changes: bits flipped, bytes replaced, parts cut out, doubled or moved, the end cut
/// off.
inline std::string mutate(std::string bytes, Random& random) {
  for (std::uint64_t change = 0, changes = 1 + random.below(4); change < changes && !bytes.empty(); ++change) {
    const auto at = static_cast<std::size_t>(random.below(bytes.size()));
    const auto length = static_cast<std::size_t>(1 + random.below(std::min<std::uint64_t>(bytes.size() - at, 64)));
    switch (random.below(6)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8))); break;
      case 1: bytes[at] = static_cast<char>(random.below(256)); break;
      case 2: bytes.erase(at, length); break;
      case 3: bytes.insert(at, bytes.substr(at, length)); break;
      case 4: bytes.insert(static_cast<std::size_t>(random.below(bytes.size())), bytes.substr(at, length)); break;
      default:
        if (random.below(8) == 0) bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace halftone::test
