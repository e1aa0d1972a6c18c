// JSON of checkpoints. Files come from strangers: nesting, sizes and duplicate keys are bounded before anything uses
// them.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace halftone {

/// Keeps the order of keys, so that a config.json that is read, extended and written stays the file its author knows.
using Json = nlohmann::ordered_json;

/// Parses a whole document. Throws Status::InvalidData, naming `who`, for text that is no JSON (UTF-8 included), a key
/// that occurs twice in an object, more than 64 levels, or, for Json, more than 4096 keys in one object.
/// Document is Json, or nlohmann::json (sorted keys) for large maps.
template <class Document = Json>
Document parse_json(std::string_view text, std::string_view who);

/// parse_json of a file of at most 256 MB. Throws Status::NotFound, Status::Io, Status::InvalidData, naming the file.
template <class Document = Json>
Document read_json(const std::filesystem::path& file);

/// Two spaces of indent and a final newline, as transformers writes its configs.
std::string json_text(const Json& document);

}  // namespace halftone
