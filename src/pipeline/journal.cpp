#include "pipeline/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "pipeline/xxh64.hpp"

namespace halftone {
namespace {

using nlohmann::json;

std::string check_of(const std::string& text) { return hex(hash_of(std::span<const char>(text))); }

std::string text_of(const json& entry) { return entry.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string read_all(int descriptor, const std::filesystem::path& file) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail_io(file, "read");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::pread(descriptor, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io(file, "read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  text.resize(have);
  return text;
}

JournalBlock parse_block(const json& entry, const std::filesystem::path& file) try {
  JournalBlock block{entry.at("block").get<Index>(), entry.at("hash").get<std::string>(), {}};
  for (const json& layer : entry.at("layers")) block.layers.push_back(parse_layer(layer));
  return block;
} catch (const json::exception& error) {
  fail(Status::InvalidData, file.string(), ": ", error.what());
}

}  // namespace

std::string checked_line(const json& entry) { return text_of({{"check", check_of(text_of(entry))}, {"entry", entry}}); }

std::optional<json> parse_checked_line(std::string_view line) {
  const json object = json::parse(line, nullptr, false);
  if (!object.is_object() || !object.contains("check") || !object.contains("entry")) return std::nullopt;
  const json& entry = object["entry"];
  if (!object["check"].is_string() || object["check"] != check_of(text_of(entry))) return std::nullopt;
  return entry;
}

Journal::Journal(const std::filesystem::path& file, const json& fingerprint) : file_(file) {
  descriptor_ = FileDescriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (descriptor_.get() < 0) fail_io(file, "open");
  if (::flock(descriptor_.get(), LOCK_EX | LOCK_NB) != 0) {
    require(errno != EWOULDBLOCK, Status::Conflict, file.string(), ": another process is writing this run");
  }  // other refusals: a file system without locks
  read(fingerprint);
  if (size_ == 0) begin(fingerprint);
}

void Journal::begin(const json& fingerprint) {
  if (::ftruncate(descriptor_.get(), 0) != 0) fail_io(file_, "truncate");
  write_entry({{"run", fingerprint}});
  run_end_ = size_;
  sync_path(file_.parent_path());
}

void Journal::read(const json& fingerprint) {
  const std::string text = read_all(descriptor_.get(), file_);
  for (std::size_t first = 0; first < text.size();) {
    const std::size_t end = text.find('\n', first);
    if (end == std::string::npos) break;
    const auto entry = parse_checked_line(std::string_view(text).substr(first, end - first));
    if (!entry) break;
    if (first == 0) {
      require(entry->contains("run"), Status::InvalidData, file_.string(), ": not a journal of this library");
      const std::string difference = first_difference((*entry)["run"], fingerprint);
      require(difference.empty(), Status::Conflict, file_.string(),
              ": the unfinished run there is another one: ", difference,
              "; repeat its command to resume it, or remove ", file_.parent_path().string(), " to start again");
      run_end_ = static_cast<std::int64_t>(end + 1);
    } else {
      JournalBlock block = parse_block(*entry, file_);
      if (block.block != static_cast<Index>(blocks_.size())) break;
      blocks_.push_back(std::move(block));
      block_ends_.push_back(static_cast<std::int64_t>(end + 1));
    }
    size_ = static_cast<std::int64_t>(end + 1);
    first = end + 1;
  }
  if (size_ > 0 && ::ftruncate(descriptor_.get(), size_) != 0) fail_io(file_, "truncate");
}

void Journal::write_entry(const json& entry) {
  const std::string line = checked_line(entry) + "\n";
  write_at(descriptor_.get(), file_, size_, std::as_bytes(std::span<const char>(line)));
  if (::fdatasync(descriptor_.get()) != 0) fail_io(file_, "flush");
  size_ += static_cast<std::int64_t>(line.size());
}

void Journal::append(const JournalBlock& block) {
  json layers = json::array();
  for (const LayerReport& layer : block.layers) layers.push_back(layer_json(layer));
  write_entry({{"block", block.block}, {"hash", block.hash}, {"layers", std::move(layers)}});
  blocks_.push_back(block);
  block_ends_.push_back(size_);
}

void Journal::keep_first(std::size_t count) {
  if (count >= blocks_.size()) return;
  size_ = count > 0 ? block_ends_[count - 1] : run_end_;
  if (::ftruncate(descriptor_.get(), size_) != 0) fail_io(file_, "truncate");
  blocks_.resize(count);
  block_ends_.resize(count);
}

std::string first_difference(const json& there, const json& here, const std::string& path) {
  if (there == here) return {};
  if (there.is_object() && here.is_object()) {
    for (const auto& [key, value] : there.items()) {
      const std::string at = path + "/" + key;
      if (!here.contains(key)) return at + " is " + value.dump() + " there and absent here";
      if (const std::string inner = first_difference(value, here.at(key), at); !inner.empty()) return inner;
    }
    for (const auto& [key, value] : here.items())
      if (!there.contains(key)) return path + "/" + key + " is absent there and " + value.dump() + " here";
  }
  if (there.is_array() && here.is_array() && there.size() == here.size())
    for (std::size_t i = 0; i < there.size(); ++i)
      if (const std::string inner = first_difference(there[i], here[i], concat(path, "/", i)); !inner.empty())
        return inner;
  return path + " is " + there.dump() + " there and " + here.dump() + " here";
}

}  // namespace halftone
