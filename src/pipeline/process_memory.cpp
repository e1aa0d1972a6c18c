#include "pipeline/process_memory.hpp"

#include <cstdio>
#include <cstring>  // strlen, strncmp

namespace halftone {
namespace {

/// A line "VmRSS:  1234 kB" of /proc/self/status, in bytes.
std::int64_t status_bytes(const char* key) noexcept {
  std::FILE* file = std::fopen("/proc/self/status", "re");
  if (file == nullptr) return 0;
  char line[256];
  long long kilobytes = 0;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::strncmp(line, key, std::strlen(key)) == 0) std::sscanf(line + std::strlen(key), "%lld", &kilobytes);
  std::fclose(file);
  return kilobytes * 1024;
}

}  // namespace

std::int64_t resident_bytes() noexcept { return status_bytes("VmRSS:"); }
std::int64_t peak_resident_bytes() noexcept { return status_bytes("VmHWM:"); }

}  // namespace halftone
