#include <fmt/format.h>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "halftone/backend/cpu.hpp"
#include "halftone/backend/cuda.hpp"
#include "halftone/core/version.hpp"

namespace halftone::cli {

std::string version_text() {
  const Context<Cpu> context;
  const std::string units = context.half_units();
  const std::string halves = units.empty() ? "" : ", of 16-bit numbers on " + units;
  return fmt::format(
      "halftone {}\n"
      "cpu: {} instructions, matrix products by {}{}, {} threads\n"
      "cuda: {}\n"
      "built with Eigen {}.{}.{}, nlohmann-json {}.{}.{}, fmt {}.{}.{}, CLI11 {}, {} {}",
      library_version(), context.isa(), context.products(), halves, context.threads(), cuda_devices_text(),
      EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION, NLOHMANN_JSON_VERSION_MAJOR,
      NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH, FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
      FMT_VERSION % 100, CLI11_VERSION,
#if defined(__clang__)
      "clang", __clang_version__
#else
      "gcc", __VERSION__
#endif
  );
}

}  // namespace halftone::cli
