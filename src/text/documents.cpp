#include "text/documents.hpp"

#include <nlohmann/json.hpp>

#include "format/mapped_file.hpp"
#include "halftone/core/error.hpp"
#include "halftone/format/json.hpp"
#include "text/utf8.hpp"

namespace halftone::text {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

/// The field "text" of one line.
std::string text_of_line(const std::string& who, std::string_view line) {
  require_utf8(who, line);
  const auto document = parse_json<nlohmann::json>(line, who);
  require(document.is_object(), Status::InvalidData, who, " is ", document.type_name(), ", wanted an object");
  const auto text = document.find("text");
  require(text != document.end(), Status::InvalidData, who, " has no field 'text'");
  require(text->is_string(), Status::InvalidData, who, ": the field 'text' is ", text->type_name(), ", wanted text");
  return text->get<std::string>();
}

}  // namespace

void read_documents(const std::filesystem::path& file, const std::function<bool(std::string_view)>& on_document) {
  const auto extension = file.extension();
  require(extension == ".txt" || extension == ".jsonl", Status::Unsupported, file.string(), ": the extension is '",
          extension.string(), "', wanted .txt, .jsonl or .safetensors");
  const MappedFile mapped(file);
  std::string_view all(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (all.substr(0, byte_order_mark.size()) == byte_order_mark) all.remove_prefix(byte_order_mark.size());
  if (extension == ".txt") {
    require_utf8(file.string(), all);
    if (!all.empty()) on_document(all);
    return;
  }
  for (std::size_t number = 1; !all.empty(); ++number) {
    const std::size_t end = std::min(all.find('\n'), all.size());
    const std::string_view line = all.substr(0, end);
    all.remove_prefix(std::min(end + 1, all.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string text = text_of_line(file.string() + ", line " + std::to_string(number), line);
    if (!text.empty() && !on_document(text)) return;
  }
}

}  // namespace halftone::text
