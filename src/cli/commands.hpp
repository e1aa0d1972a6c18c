// The subcommands. Each function declares its arguments; what it does runs when they have been parsed.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/output.hpp"

namespace halftone::cli {

void add_quantize(CLI::App& app, Common& common);
void add_eval(CLI::App& app, Common& common);
void add_compare(CLI::App& app, Common& common);
void add_inspect(CLI::App& app, Common& common);
void add_export(CLI::App& app, Common& common);
void add_methods(CLI::App& app, Common& common);
void add_completion(CLI::App& app);

/// Whether a command computes.
enum class Computes { Nothing, OnDevices };
/// Adds --json; for commands that compute --threads, --device and --device-memory.
void add_common_flags(CLI::App& command, Common& common, Computes computes);

/// Version, instruction set and libraries, for --version.
std::string version_text();

}  // namespace halftone::cli
