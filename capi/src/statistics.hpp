// ht_statistics: the library's statistics, and a number that changes with them.
#pragma once

#include "context.hpp"
#include "halftone/quant/statistics.hpp"

struct ht_statistics final : halftone::capi::MadeFromContext {
  using Sums = halftone::InputStatistics<float>;

  ht_statistics(std::shared_ptr<halftone::capi::Shared> shared, Sums made)
      : MadeFromContext(std::move(shared)), sums(std::make_shared<Sums>(std::move(made))) {}

  std::shared_ptr<Sums> sums;  ///< shared with quantizers that have prepared for it
  std::uint64_t version = 0;   ///< of the sums
};
