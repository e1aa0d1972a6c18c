// The config.json of timm: a registered name, and the arguments that differ from what the name stands for.
#pragma once

#include "halftone/model/config.hpp"
#include "model/config_reader.hpp"

namespace halftone::detail {

/// `architecture`: the row with the model that the config names. Throws what read_model_config does;
/// Status::Unsupported for arguments that are not known, since each would be another model.
ModelConfig read_timm_config(const ConfigReader& reader, const Architecture& architecture);

}  // namespace halftone::detail
