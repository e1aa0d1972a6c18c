// halftone: quantises checkpoints, evaluates and inspects them.
#include <cstdio>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cli/commands.hpp"
#include "cli/exit_codes.hpp"
#include "cli/signals.hpp"

namespace halftone::cli {

namespace {

void add_device_flags(CLI::App& command, Common& common) {
  command.add_option_function<std::string>(
      "--device",
      [&common](const std::string& text) {
        const ComputeDevice device = parse_device(text);
        common.device.cuda = device.cuda;
        common.device.ordinal = device.ordinal;
      },
      "where to compute: cpu, cuda or cuda:N");
  command
      .add_option_function<double>(
          "--device-memory",
          [&common](double gigabytes) { common.device.memory_limit = static_cast<Index>(gigabytes * 1e9); },
          "most memory of a GPU to take, in GB; beyond it hidden states stay with the host [default what is free]")
      ->type_name("GB")
      ->check(CLI::PositiveNumber);
}

}  // namespace

void add_common_flags(CLI::App& command, Common& common, Computes computes) {
  command.add_flag("--json", common.json, "one JSON document on stdout, and nothing else there");
  if (computes == Computes::Nothing) return;
  command
      .add_option("--threads", common.threads,
                  "threads; 0: all that this process may use, or OMP_NUM_THREADS. Results do not depend on it")
      ->check(CLI::Range(0, 4096));
  add_device_flags(command, common);
}

namespace {

/// Says on stderr what went wrong, and on stdout too where a program listens there.
int failed(Status status, const std::string& message, bool json) {
  complain("halftone: " + message);
  const int code = exit_code(status);
  if (json) {
    const nlohmann::json error = {{"status", status_name(status)}, {"message", message}, {"exit_code", code}};
    std::puts(nlohmann::json{{"error", error}}.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  }
  return code;
}

/// What is wrong with a command line that CLI11 refuses.
std::string parse_message(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  std::string commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    if (argc < 2 || argv[1][0] == '-' || command->get_name() == argv[1])
      return std::string(error.what()) + " (see --help)";
    commands += (commands.empty() ? "" : ", ") + command->get_name();
  }
  return concat("no command '", argv[1], "', wanted one of ", commands);
}

int run(int argc, char** argv) {
  CLI::App app("Quantises the weights of transformers after training.", "halftone");
  Common common;
  app.set_version_flag("--version", version_text, "version, instruction set and libraries");
  app.require_subcommand(1);
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.footer("`halftone COMMAND --help` lists a command's flags.\n\n" + exit_code_help());
  add_quantize(app, common);
  add_eval(app, common);
  add_compare(app, common);
  add_inspect(app, common);
  add_export(app, common);
  add_methods(app, common);
  add_completion(app);
  bool json = false;  // also where parsing fails
  for (int i = 1; i < argc; ++i) json = json || std::strcmp(argv[i], "--json") == 0;
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return failed(Status::InvalidArgument, parse_message(app, error, argc, argv), json);
  } catch (const Error& error) {
    return failed(error.status(), error.what(), json);
  } catch (const std::bad_alloc&) {
    return failed(Status::OutOfMemory, "out of memory", json);
  } catch (const std::exception& error) {
    return failed(Status::Internal, error.what(), json);
  }
}

/// Blocks of a megabyte or more go back to the system when they are freed, always, so that the peak is what the plan
/// says. (glibc would raise its threshold up to 32 MB as it sees larger blocks freed, and keep what is below it.)
void return_freed_memory() noexcept {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
}

}  // namespace
}  // namespace halftone::cli

int main(int argc, char** argv) {
  halftone::cli::return_freed_memory();
  halftone::cli::install_signal_handlers();
  return halftone::cli::run(argc, argv);
}
