#include "pipeline/output_folder.hpp"

#include <cstdio>  // rename
#include <system_error>

#include "format/file.hpp"
#include "format/mapped_file.hpp"

namespace halftone {
namespace {

namespace fs = std::filesystem;

/// Calls a std::filesystem function; its failure becomes Status::Io: "<path>: cannot <verb>: <reason>".
template <class Call>
auto checked(const fs::path& path, std::string_view verb, Call&& call) {
  std::error_code error;
  auto result = call(error);
  if (error) fail(Status::Io, path.string(), ": cannot ", verb, ": ", error.message());
  return result;
}

bool empty_or_absent(const fs::path& path) {
  const auto status = checked(path, "look at it", [&](std::error_code& error) {
    const fs::file_status found = fs::status(path, error);
    if (found.type() == fs::file_type::not_found) error.clear();
    return found;
  });
  if (status.type() == fs::file_type::not_found) return true;
  return status.type() == fs::file_type::directory &&
         checked(path, "list it", [&](std::error_code& error) { return fs::is_empty(path, error); });
}

/// Absolute, symbolic links resolved as far as the path exists, without a slash at the end.
fs::path resolved(const fs::path& out) {
  require(!out.empty(), Status::InvalidArgument, "output folder: the name is empty");
  fs::path path = checked(out, "resolve it", [&](std::error_code& error) { return fs::weakly_canonical(out, error); });
  if (!path.is_absolute()) path = fs::absolute(path).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) sync_path(entry.path());
  sync_path(folder);
}

}  // namespace

OutputFolder::OutputFolder(const fs::path& out, bool resume) : final_(resolved(out)), partial_(final_) {
  partial_ += ".partial";
  require(fs::is_directory(final_.parent_path()), Status::NotFound, "output folder: there is no folder ",
          final_.parent_path().string(), " to put ", final_.filename().string(), " into");
  resumed_ = !empty_or_absent(partial_);
  const bool vacant = empty_or_absent(final_);
  if (resume && resumed_ && !vacant && fs::exists(journal()) && !fs::exists(staging())) complete_ = true;
  require(vacant || complete_, Status::Conflict, "output folder: ", final_.string(),
          " exists and is not empty, wanted a new or an empty folder");
  require(!resumed_ || resume, Status::Conflict, "output folder: ", partial_.string(),
          fs::exists(journal())
              ? " holds an unfinished run; repeat its command with --resume to go on with it, or remove that folder to "
                "start again"
              : " is what a run that was killed has left; remove that folder to start again");
}

void OutputFolder::create() const {
  checked(staging(), "create it", [&](std::error_code& error) { return fs::create_directories(staging(), error); });
  sync_path(final_.parent_path());
}

void OutputFolder::clear_staging() const {
  checked(staging(), "remove it", [&](std::error_code& error) { return fs::remove_all(staging(), error); });
  create();
}

void OutputFolder::publish() const {
  sync_tree(staging());
  if (std::rename(staging().c_str(), final_.c_str()) != 0) {
    require(errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR, Status::Conflict,
            "output folder: ", final_.string(), " has meanwhile got other contents; the finished files are in ",
            staging().string());
    fail_io(final_, "rename the finished folder to this name");
  }
  sync_path(final_.parent_path());
  remove_partial();
}

void OutputFolder::remove_partial() const {
  checked(partial_, "remove it", [&](std::error_code& error) { return fs::remove_all(partial_, error); });
}

void OutputFolder::discard() const noexcept {
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

void copy_small_file(const fs::path& from, const fs::path& to) {
  const MappedFile content(from);
  const auto bytes = content.bytes();
  write_file(to, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::int64_t folder_bytes(const fs::path& folder) {
  std::int64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) bytes += static_cast<std::int64_t>(entry.file_size());
  return bytes;
}

}  // namespace halftone
