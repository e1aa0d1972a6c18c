#include "halftone/format/safetensors_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>  // sort
#include <array>
#include <atomic>
#include <cstring>  // memcmp
#include <deque>
#include <nlohmann/json.hpp>

#include "format/file.hpp"
#include "format/mapped_file.hpp"
#include "format/message.hpp"

namespace halftone {
namespace {

/// Rank of a type in the reference writer, which puts the highest first: tensors are then aligned to their type.
int rank(DType type) {
  constexpr std::array order{DType::Bool,        DType::F4,      DType::F6_E2M3, DType::F6_E3M2, DType::U8,
                             DType::I8,          DType::F8_E5M2, DType::F8_E4M3, DType::F8_E8M0, DType::F8_E4M3FNUZ,
                             DType::F8_E5M2FNUZ, DType::I16,     DType::U16,     DType::F16,     DType::BF16,
                             DType::I32,         DType::U32,     DType::F32,     DType::C64,     DType::F64,
                             DType::I64,         DType::U64};
  return static_cast<int>(std::find(order.begin(), order.end(), type) - order.begin());
}

/// Where everything goes: the tensors in file order, and the header that says so.
struct Layout {
  std::vector<TensorInfo> tensors;
  std::vector<std::int64_t> offsets;  // from the start of the file
  std::string header;                 // length field included
  std::int64_t size = 0;              // of the whole file
};

Layout plan_layout(std::vector<TensorInfo> tensors, std::string_view who) {
  Layout layout;
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return rank(a.dtype) != rank(b.dtype) ? rank(a.dtype) > rank(b.dtype) : a.name < b.name;
  });
  std::string text = R"({"__metadata__":{"format":"pt"})";
  std::int64_t end = 0;
  for (const TensorInfo& info : tensors) {
    layout.offsets.push_back(end);
    require(!__builtin_add_overflow(end, info.bytes(), &end), Status::InvalidArgument, who, ": more than 2^63 bytes");
    text += ',' + nlohmann::json(info.name).dump() + R"(:{"dtype":")" + std::string(dtype_name(info.dtype)) +
            R"(","shape":)" + nlohmann::json(info.shape).dump() + R"(,"data_offsets":[)" +
            std::to_string(layout.offsets.back()) + ',' + std::to_string(end) + "]}";
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  for (std::size_t i = 0; i < 8; ++i) layout.header += static_cast<char>(text.size() >> 8 * i & 0xff);
  layout.header += text;
  const auto data_begin = static_cast<std::int64_t>(layout.header.size());
  for (std::int64_t& offset : layout.offsets) offset += data_begin;
  layout.size = data_begin + end;
  layout.tensors = std::move(tensors);
  return layout;
}

/// Positions of the tensors sorted by name. Throws Status::InvalidArgument for a name that occurs twice.
std::vector<std::size_t> order_by_name(const std::vector<TensorInfo>& tensors, std::string_view who) {
  std::vector<std::size_t> order(tensors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return tensors[a].name < tensors[b].name; });
  for (std::size_t i = 1; i < order.size(); ++i)
    require(tensors[order[i]].name != tensors[order[i - 1]].name, Status::InvalidArgument, who, ": tensor ",
            in_quotes(tensors[order[i]].name), " occurs twice");
  return order;
}

/// Gives the file its full size on the disk, or removes it. The free space is looked at first, since a file system that
/// cannot reserve is served by writing zeros.
void reserve(int fd, const std::filesystem::path& file, std::int64_t size) {
  std::error_code unknown;
  const auto space = std::filesystem::space(file.parent_path().empty() ? "." : file.parent_path(), unknown);
  int error = !unknown && space.available < static_cast<std::uintmax_t>(size) ? ENOSPC : EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd, 0, size);
  if (error == 0) return;
  ::unlink(file.c_str());
  fail(Status::Io, file.string(), ": cannot reserve ", size, " bytes (", space.available,
       " are free): ", std::generic_category().message(error));
}

bool is_there(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

}  // namespace

struct SafetensorsWriter::State {
  std::filesystem::path file, part;  // final name, and the name until then
  Layout layout;
  std::vector<std::size_t> by_name;
  std::vector<std::atomic<bool>> written;
  FileDescriptor fd;
  bool finished = false;

  State(const std::filesystem::path& path, std::vector<TensorInfo> tensors)
      : file(path),
        part(path),
        layout(plan_layout(std::move(tensors), path.string())),
        by_name(order_by_name(layout.tensors, path.string())),
        written(layout.tensors.size()) {
    part += ".partial";
  }

  std::size_t place_of(std::string_view name) const {
    const auto place = std::lower_bound(by_name.begin(), by_name.end(), name,
                                        [&](std::size_t i, std::string_view x) { return layout.tensors[i].name < x; });
    const bool found = place != by_name.end() && layout.tensors[*place].name == name;
    if (!found) fail(Status::NotFound, file.string(), ": no tensor ", in_quotes(name), " was announced");
    return *place;
  }

  void open(const std::filesystem::path& name, int flags) {
    fd = FileDescriptor(::open(name.c_str(), O_RDWR | O_CLOEXEC | flags, 0666));
    if (fd.get() < 0) fail_io(name, "open for writing");
  }

  void create() {
    open(part, O_CREAT | O_TRUNC);
    reserve(fd.get(), part, layout.size);
    write_at(fd.get(), part, 0, std::as_bytes(std::span(layout.header)));
  }

  /// Opens what an earlier run left if it is this file.
  void resume(const std::filesystem::path& name) {
    const MappedFile mapped(name);
    const auto old = mapped.bytes();
    const bool same = static_cast<std::int64_t>(old.size()) == layout.size &&
                      std::memcmp(old.data(), layout.header.data(), layout.header.size()) == 0;
    require(same, Status::Conflict, name.string(),
            ": cannot be continued, it was begun with other tensors, types or shapes");
    open(name, 0);
  }
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& file, std::vector<TensorInfo> tensors, WriteMode mode)
    : state_(std::make_unique<State>(file, std::move(tensors))) {
  State& state = *state_;
  const bool has_part = is_there(state.part), has_file = is_there(file);
  if (mode == WriteMode::Create) {
    require(!has_file, Status::Conflict, file.string(), ": exists already");
    state.create();
  } else if (has_file) {
    state.resume(file);
    state.finished = true;
  } else if (has_part) {
    state.resume(state.part);
  } else {
    state.create();
  }
}
SafetensorsWriter::~SafetensorsWriter() = default;
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;

void SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  const std::size_t place = state_->place_of(name);
  const std::int64_t wanted = state_->layout.tensors[place].bytes();
  require(static_cast<std::int64_t>(bytes.size()) == wanted, Status::ShapeMismatch, state_->file.string(), ": tensor ",
          in_quotes(name), " came with ", bytes.size(), " bytes, wanted ", wanted);
  write_at(state_->fd.get(), state_->part, state_->layout.offsets[place], bytes);
  state_->written[place] = true;
}

void SafetensorsWriter::mark_written(std::string_view name) { state_->written[state_->place_of(name)] = true; }

void SafetensorsWriter::sync() {
  if (::fdatasync(state_->fd.get()) != 0) fail_io(state_->part, "flush");
}

void SafetensorsWriter::finish() {
  State& state = *state_;
  for (std::size_t i = 0; i < state.written.size(); ++i)
    require(state.written[i], Status::Internal, state.file.string(), ": tensor ",
            in_quotes(state.layout.tensors[i].name), " was never written");
  if (::fsync(state.fd.get()) != 0) fail_io(state.part, "flush");
  if (state.finished) return;
  if (::rename(state.part.c_str(), state.file.c_str()) != 0) fail_io(state.file, "rename into place");
  sync_path(state.file.parent_path());
  state.finished = true;
}

std::int64_t SafetensorsWriter::file_bytes(const std::vector<TensorInfo>& tensors) {
  return plan_layout(tensors, "safetensors").size;
}

}  // namespace halftone
