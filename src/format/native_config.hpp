// The `quantization_config` of native checkpoints: written from plans, asked for the setting of a module.
#pragma once

#include <span>
#include <string_view>

#include "halftone/format/format.hpp"

namespace halftone::detail {

/// What the config says of a module.
struct NativeSetting {
  bool binary_coded = false;
  int bits = 0;                 ///< of a code; planes
  std::int64_t group_size = 0;  ///< -1: whole rows
  bool symmetric = false, group_index = false, outliers = false;

  auto operator<=>(const NativeSetting&) const = default;
};

/// Settings of the plans, the most common one first and without a list of its modules.
Json native_config(std::span<const MatrixPlan> plans);

/// Throws Status::Unsupported for a version newer than is known, Status::InvalidData for none.
void check_native_version(const Json& quantization);

/// The setting of a module: the first that names it, else the first that names none. Throws what check_native_version
/// throws; Status::InvalidData, naming the module, where there is none or its entries are malformed.
NativeSetting native_setting(const Json& config, std::string_view module);

}  // namespace halftone::detail
