// The options of all methods as flags of the command, made from the registry's table: a new method's options appear
// here without a line of code.
#pragma once

#include <CLI/CLI.hpp>

#include "halftone/solver/quantizer.hpp"

namespace halftone::cli {

/// Adds a flag for every option of every method (--group-size for group_size; --sym and --no-sym for a yes or no) and
/// the general form --set NAME=VALUE. What the user gives is put into `options`, which must outlive the parse.
void add_method_flags(CLI::App& command, OptionMap& options);

/// "name=value" put into `options`. Throws Status::InvalidArgument for text of another form.
void set_from_text(OptionMap& options, const std::string& text);

/// "0 .. 1", "one of minmax, l2.4, hessian", "yes or no".
std::string values_of(const OptionInfo& info);
/// "--group-size"
std::string flag_name(const std::string& option);

}  // namespace halftone::cli
