#include "halftone/format/json.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "format/mapped_file.hpp"
#include "format/message.hpp"
#include "halftone/core/error.hpp"

namespace halftone {
namespace {

constexpr int depth_limit = 64;
constexpr std::size_t ordered_key_limit = 4096;  // the ordered map searches linearly
constexpr std::size_t file_limit = 256'000'000;

}  // namespace

template <class Document>
Document parse_json(std::string_view text, std::string_view who) {
  std::vector<std::unordered_set<std::string>> keys;  // of every object that is open, outermost first
  const auto guard = [&](int depth, auto event, const Document& value) {
    using Event = typename Document::parse_event_t;
    require(depth <= depth_limit, Status::InvalidData, who, ": JSON nested deeper than ", depth_limit, " levels");
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key) {
      const auto& key = value.template get_ref<const std::string&>();
      require(keys.back().insert(key).second, Status::InvalidData, who, ": key ", in_quotes(key), " occurs twice");
      if constexpr (std::is_same_v<Document, Json>)
        require(keys.back().size() <= ordered_key_limit, Status::InvalidData, who, ": an object has more than ",
                ordered_key_limit, " keys");
    }
    return true;
  };
  try {
    return Document::parse(text.begin(), text.end(), guard);
  } catch (const nlohmann::json::exception& error) {
    fail(Status::InvalidData, who, ": malformed JSON: ", shortened(error.what()));
  }
}

template <class Document>
Document read_json(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  require(bytes.size() <= file_limit, Status::InvalidData, file.string(), ": JSON file of ", bytes.size(),
          " bytes, wanted at most ", file_limit);
  return parse_json<Document>({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, file.string());
}

std::string json_text(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

template Json parse_json<Json>(std::string_view, std::string_view);
template nlohmann::json parse_json<nlohmann::json>(std::string_view, std::string_view);
template Json read_json<Json>(const std::filesystem::path&);
template nlohmann::json read_json<nlohmann::json>(const std::filesystem::path&);

}  // namespace halftone
