// The rotary part of a config.json.
#pragma once

#include "halftone/model/config.hpp"
#include "model/config_reader.hpp"

namespace halftone::detail {

/// `positions`: max_position_embeddings, which Llama 3's rule falls back to; 0 where the config lacks it.
RopeConfig read_rope_config(const ConfigReader& reader, Index positions);

}  // namespace halftone::detail
