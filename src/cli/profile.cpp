#include "cli/profile.hpp"

#include <fstream>

#include "cli/output.hpp"
#include "halftone/core/error.hpp"

namespace halftone::cli {
RunReport profiled(const std::string& file, bool quiet, const std::function<RunReport(Trace*)>& run) {
  if (file.empty()) return run(nullptr);
  std::ofstream stream(file);
  require(stream.is_open(), Status::Io, "profile: cannot write ", file);
  Trace trace;
  const auto print_phases = [&] {
    if (!quiet) complain(phase_table(trace));
  };
  RunReport report;
  try {
    report = run(&trace);
  } catch (...) {
    stream << trace.json() << std::flush;  // what the run ended with is what counts
    print_phases();
    throw;
  }
  print_phases();
  stream << trace.json() << std::flush;
  require(static_cast<bool>(stream), Status::Io, "profile: cannot write ", file);
  return report;
}

}  // namespace halftone::cli
