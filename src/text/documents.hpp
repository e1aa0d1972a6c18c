// The documents of a text file.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace halftone::text {

/// Calls `on_document` with one text after the other until it returns false. A `.txt` is one document; a `.jsonl` has
/// one a line, in the field "text". Blank lines and empty documents are passed over, and so is a byte order mark.
///
/// Throws Status::NotFound, Status::Io; Status::Unsupported for another extension; Status::InvalidData, with the line's
/// number, for a line that is no JSON object with a text, and for what is not UTF-8.
void read_documents(const std::filesystem::path& file, const std::function<bool(std::string_view)>& on_document);

}  // namespace halftone::text
