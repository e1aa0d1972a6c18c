// A file descriptor that closes itself, and the system's errors as ours.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>  // exchange

#include "halftone/core/error.hpp"

namespace halftone {

/// Throws Status::NotFound for ENOENT and ENOTDIR, else Status::Io: "<file>: cannot <verb>: <reason>".
[[noreturn]] inline void fail_io(const std::filesystem::path& file, std::string_view verb, int error = errno) {
  fail(error == ENOENT || error == ENOTDIR ? Status::NotFound : Status::Io, file.string(), ": cannot ", verb, ": ",
       std::generic_category().message(error));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Writes `bytes` at `offset`, however many calls that takes. Throws Status::Io.
void write_at(int fd, const std::filesystem::path& file, std::int64_t offset, std::span<const std::byte> bytes);
/// Flushes a file or directory to the disk. Throws Status::Io.
void sync_path(const std::filesystem::path& path);
/// Writes `text` beside `file`, flushes it and renames it into place. Throws Status::NotFound, Status::Io.
void write_file(const std::filesystem::path& file, std::string_view text);

}  // namespace halftone
