// What the tests of the room share: a folder that goes away, and safetensors files written by hand.
#pragma once

#include <unistd.h>
#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone::test {

/// A fresh folder under the system's temporary one, removed with its content at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "halftone-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void put(const std::filesystem::path& file, std::string_view content) {
  std::ofstream out(file, std::ios::binary);
  out << content;
  REQUIRE(out.good());
}

inline std::string slurp(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  REQUIRE(in.good());
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// Length field, header, data: a safetensors file as its bytes.
inline std::string safetensors_bytes(std::string_view header, std::string_view data = {}) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> 8 * i & 0xff);
  return bytes.append(header).append(data);
}

/// Expects that `action` throws an Error of `status` whose text has every one of `words`.
inline void expect_error(Status status, std::initializer_list<std::string_view> words,
                         const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(std::string(status_name(error.status())) == std::string(status_name(status)));
    for (const std::string_view word : words) CHECK_THAT(error.what(), Catch::Matchers::Contains(std::string(word)));
    return;
  }
  FAIL_CHECK("nothing was thrown");
}

}  // namespace halftone::test
