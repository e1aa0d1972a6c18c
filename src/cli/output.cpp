#include "cli/output.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "halftone/core/error.hpp"

namespace halftone::cli {

void print(std::string_view text) {
  const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  require(ok, Status::Io, "standard output: cannot write");
}

void print_json(const nlohmann::json& document) {
  print(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void complain(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fputc('\n', stderr);
}

}  // namespace halftone::cli
