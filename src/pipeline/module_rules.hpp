// The recipe's rules, compiled: which method and options a module gets.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "halftone/pipeline/recipe.hpp"

namespace halftone {

/// A regular expression (PCRE2, UTF-8).
class ModulePattern {
 public:
  /// Throws Status::InvalidArgument, with the position, for a malformed expression.
  explicit ModulePattern(const std::string& expression);
  ~ModulePattern();
  ModulePattern(ModulePattern&&) noexcept;
  /// True if the expression matches somewhere in `module`. Throws Status::InvalidArgument where matching needs more
  /// work than a name is worth.
  bool matches(std::string_view module) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct ModuleChoice {
  std::string method;
  OptionMap options;
};

class ModuleRules {
 public:
  /// Throws Status::InvalidArgument for a malformed expression; Status::NotFound for an unknown method.
  explicit ModuleRules(const Recipe& recipe);
  /// Method and options of a module; nothing if it stays as it is.
  std::optional<ModuleChoice> choose(std::string_view module);
  /// Expressions that no module has matched so far.
  std::vector<std::string> unused() const;

 private:
  const Recipe& recipe_;
  std::vector<ModulePattern> patterns_;
  std::vector<bool> used_;
};

}  // namespace halftone
