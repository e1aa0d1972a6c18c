// The `quantization_config` of compressed-tensors: written from plans, asked for the width of a module's codes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "halftone/format/format.hpp"
#include "halftone/quant/packing.hpp"

namespace halftone::detail {

/// One config group for each setting; with several, each names its modules. `kept` becomes the list `ignore`.
Json compressed_tensors_config(std::span<const MatrixPlan> plans, std::span<const std::string> kept);

/// How codes lie in words.
struct PackedWidth {
  int bits = 0;
  bool loose = false;  ///< floor(32 / bits) codes a word, as versions up to 0.17 wrote widths that do not divide 32

  Index words(Index codes) const { return loose ? (codes + 32 / bits - 1) / (32 / bits) : packed_words(codes, bits); }
  bool operator==(const PackedWidth&) const = default;
};

/// The width among the config's groups at which `codes` codes fill `words` words. The group that names the module goes
/// before the others; where both packings fit, the config's version decides. Nothing if none fits. Throws
/// Status::InvalidData for a config without groups.
std::optional<PackedWidth> find_packed_width(const Json& config, std::string_view module, Index codes, Index words);

}  // namespace halftone::detail
