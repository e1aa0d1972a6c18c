// model.safetensors.index.json: which file holds which tensor.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace halftone {

using ShardIndex = std::map<std::string, std::string>;  ///< tensor -> file name

/// Throws Status::InvalidData, naming `who`, for a text that is no index, and for a file name that may lead elsewhere:
/// a shard lies beside its index.
ShardIndex parse_shard_index(std::string_view text, std::string_view who);

}  // namespace halftone
