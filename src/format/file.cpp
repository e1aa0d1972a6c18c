#include "format/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>  // min

#include "format/mapped_file.hpp"

namespace halftone {

MappedFile::MappedFile(const std::filesystem::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // not blocked by a named pipe
  if (fd.get() < 0) fail_io(file, "open");
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail_io(file, "read its size");
  require(S_ISREG(status.st_mode), Status::Io, file.string(), ": not a regular file");
  if (status.st_size == 0) return;
  const auto size = static_cast<std::size_t>(status.st_size);
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  if (address == MAP_FAILED) fail_io(file, "map");
  bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void write_at(int fd, const std::filesystem::path& file, std::int64_t offset, std::span<const std::byte> bytes) {
  constexpr std::size_t largest = std::size_t{1} << 30;  // Linux writes at most 2 GiB a call
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), std::min(bytes.size(), largest), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(file, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

void sync_path(const std::filesystem::path& path) {
  const FileDescriptor fd(::open(path.empty() ? "." : path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) fail_io(path, "open");
  if (::fsync(fd.get()) != 0 && errno != EINVAL) fail_io(path, "flush");  // EINVAL: a directory that needs no flush
}

void write_file(const std::filesystem::path& file, std::string_view text) {
  std::filesystem::path part = file;
  part += ".partial";
  {
    const FileDescriptor fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (fd.get() < 0) fail_io(part, "create");
    write_at(fd.get(), part, 0, std::as_bytes(std::span(text)));
    if (::fsync(fd.get()) != 0) fail_io(part, "flush");
  }
  if (::rename(part.c_str(), file.c_str()) != 0) fail_io(file, "rename into place");
  sync_path(file.parent_path());
}

}  // namespace halftone
