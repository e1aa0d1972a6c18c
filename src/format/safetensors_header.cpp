#include <algorithm>  // sort
#include <cstring>    // memcpy
#include <nlohmann/json.hpp>
#include <numeric>  // iota

#include "format/message.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/safetensors.hpp"

namespace halftone {
namespace {

constexpr std::uint64_t header_limit = 100'000'000;  // the reference implementation's

/// One entry as it stands in the header.
struct Entry {
  TensorInfo info;
  std::vector<std::int64_t> offsets;
  bool has_dtype = false, has_shape = false, has_offsets = false;
};

/// Receives the header's JSON piece by piece. Only the shape of a safetensors header is let through, so that nothing
/// nests deeper than it may and no number is anything but a size.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderEvents(std::string_view who) : who_(who) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("a truth value"); }
  bool number_integer(number_integer_t value) override { refuse("the number " + std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { refuse("the number " + shortened(text)); }
  bool binary(binary_t&) override { refuse("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::Shape && place_ != Place::Offsets) refuse("the number " + std::to_string(value));
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      fail(Status::InvalidData, context(), key_, " holds ", value, ", wanted at most 2^63 - 1");
    auto& list = place_ == Place::Shape ? entries.back().info.shape : entries.back().offsets;
    list.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::Metadata) {
      if (!metadata.emplace(key_, text).second)
        fail(Status::InvalidData, context(), "key ", in_quotes(key_), " occurs twice");
    } else if (place_ == Place::Tensor && key_ == "dtype") {
      const auto type = parse_dtype(text);
      if (!type) fail(Status::InvalidData, context(), "dtype is ", in_quotes(text), ", which safetensors lacks");
      entries.back().info.dtype = *type;
    } else {
      refuse("the text " + in_quotes(text));
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::Outside) {
      place_ = Place::Top;
    } else if (place_ == Place::Top && key_ == "__metadata__") {
      if (seen_metadata_) fail(Status::InvalidData, context(), "occurs twice");
      seen_metadata_ = true;
      place_ = Place::Metadata;
    } else if (place_ == Place::Top) {
      entries.emplace_back().info.name = key_;
      place_ = Place::Tensor;
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(string_t& name) override {
    key_ = std::move(name);
    if (place_ != Place::Tensor) return true;
    Entry& entry = entries.back();
    bool* seen = key_ == "dtype"          ? &entry.has_dtype
                 : key_ == "shape"        ? &entry.has_shape
                 : key_ == "data_offsets" ? &entry.has_offsets
                                          : nullptr;
    if (seen == nullptr)
      fail(Status::InvalidData, context(), "unknown key ", in_quotes(key_), ", wanted dtype, shape and data_offsets");
    if (*seen) fail(Status::InvalidData, context(), key_, " occurs twice");
    *seen = true;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::Tensor) {
      const Entry& entry = entries.back();
      if (!entry.has_dtype || !entry.has_shape || !entry.has_offsets)
        fail(Status::InvalidData, context(), "lacks dtype, shape or data_offsets");
    }
    place_ = place_ == Place::Top ? Place::Outside : Place::Top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::Tensor || key_ == "dtype") refuse("a list");
    place_ = key_ == "shape" ? Place::Shape : Place::Offsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::Tensor;
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception& error) override {
    fail(Status::InvalidData, who_, ": malformed header: ", shortened(error.what()));
  }

 private:
  enum class Place { Outside, Top, Metadata, Tensor, Shape, Offsets };

  /// "file: tensor 'x': " as far as is known.
  std::string context() const {
    std::string text = concat(who_, ": ");
    if (place_ == Place::Metadata || (place_ == Place::Top && key_ == "__metadata__")) return text + "__metadata__: ";
    const bool inside = place_ == Place::Tensor || place_ == Place::Shape || place_ == Place::Offsets;
    if (inside) return text + concat("tensor ", in_quotes(entries.back().info.name), ": ");
    return place_ == Place::Top ? text + concat("tensor ", in_quotes(key_), ": ") : text + "header: ";
  }

  [[noreturn]] void refuse(const std::string& what) const {
    const std::string_view wanted = place_ == Place::Metadata                            ? "text"
                                    : place_ == Place::Shape || place_ == Place::Offsets ? "whole numbers from 0"
                                    : place_ == Place::Tensor && key_ == "dtype"         ? "the name of a type"
                                    : place_ == Place::Tensor                            ? "a list of whole numbers"
                                                                                         : "an object";
    const bool name_key =
        place_ == Place::Metadata || place_ == Place::Tensor || place_ == Place::Shape || place_ == Place::Offsets;
    fail(Status::InvalidData, context(), name_key ? in_quotes(key_) + " " : "", "is or holds ", what, ", wanted ",
         wanted);
  }

  std::string_view who_;
  Place place_ = Place::Outside;
  std::string key_;
  bool seen_metadata_ = false;
};

/// Checks one entry by itself: two offsets in order, within the data, and as many bytes as type and shape say.
void check_entry(const Entry& entry, std::int64_t data_size, std::string_view who) {
  const auto context = [&] { return concat(who, ": tensor ", in_quotes(entry.info.name), ": "); };
  if (entry.offsets.size() != 2)
    fail(Status::InvalidData, context(), "data_offsets has ", entry.offsets.size(), " numbers, wanted 2");
  const std::int64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end > data_size)
    fail(Status::InvalidData, context(), "data_offsets are ", begin, " .. ", end, ", wanted rising numbers up to ",
         data_size, ", the bytes after the header", begin <= end ? "; truncated?" : "");
  std::int64_t bytes = 0;
  try {
    bytes = entry.info.bytes();
  } catch (const Error& error) {
    fail(Status::InvalidData, context(), error.what());
  }
  if (bytes != end - begin)
    fail(Status::InvalidData, context(), "data_offsets span ", end - begin, " bytes, wanted ", bytes,
         " for its shape of ", dtype_name(entry.info.dtype));
}

/// The tensors must fill the data, one after the other. `entries` is sorted by offset here.
void check_cover(const std::vector<Entry>& entries, std::int64_t data_size, std::string_view who) {
  std::int64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.offsets[0] != end)
      fail(Status::InvalidData, who, ": tensor ", in_quotes(entry.info.name), " begins at data byte ", entry.offsets[0],
           ", wanted ", end, ": tensors must neither overlap nor leave holes");
    end = entry.offsets[1];
  }
  require(end == data_size, Status::InvalidData, who, ": the tensors end at data byte ", end, ", the file at ",
          data_size);
}

std::string_view header_text(std::span<const std::byte> head, std::int64_t file_size, std::string_view who) {
  require(file_size >= 8 && head.size() >= 8, Status::InvalidData, who, ": ", file_size,
          " bytes are too few for a safetensors file");
  std::uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | std::to_integer<std::uint64_t>(head[static_cast<std::size_t>(i)]);
  require(length <= header_limit, Status::InvalidData, who, ": header of ", length, " bytes, wanted at most ",
          header_limit, "; not a safetensors file?");
  require(length <= static_cast<std::uint64_t>(file_size) - 8 && length <= head.size() - 8, Status::InvalidData, who,
          ": header of ", length, " bytes in a file of ", file_size, "; truncated?");
  const auto* text = reinterpret_cast<const char*>(head.data()) + 8;
  require(length > 0 && text[0] == '{', Status::InvalidData, who, ": the header does not begin with '{'");
  return {text, static_cast<std::size_t>(length)};
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> head, std::int64_t file_size,
                                           std::string_view who) {
  const std::string_view text = header_text(head, file_size, who);
  HeaderEvents events(who);
  nlohmann::json::sax_parse(text.begin(), text.end(), &events);

  const std::int64_t data_begin = 8 + static_cast<std::int64_t>(text.size());
  auto& entries = events.entries;
  for (const Entry& entry : entries) check_entry(entry, file_size - data_begin, who);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.offsets < b.offsets; });
  check_cover(entries, file_size - data_begin, who);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.info.name < b.info.name; });
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (entries[i].info.name == entries[i - 1].info.name)
      fail(Status::InvalidData, who, ": tensor ", in_quotes(entries[i].info.name), " occurs twice");

  SafetensorsHeader header;
  header.metadata = std::move(events.metadata);
  for (Entry& entry : entries) {
    header.tensors.push_back(std::move(entry.info));
    header.offsets.push_back(data_begin + entry.offsets[0]);
  }
  return header;
}

}  // namespace halftone
