// Shell completion, made from the same table of flags that --help prints.
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "halftone/format/format.hpp"
#include "halftone/solver/outlier_budget.hpp"
#include "halftone/solver/quantizer.hpp"

namespace halftone::cli {
namespace {

/// A flag with the words that may follow it; no words: a file name, or nothing for a plain flag.
struct Flag {
  std::string name, help, words;
  bool takes_value = false;
};
struct Command {
  std::string name, help;
  std::vector<Flag> flags;
};

std::string words_after(const std::string& flag) {
  std::string words;
  if (flag == "--method")
    for (const Method& method : methods()) words += std::string(method.name) + " ";
  if (flag == "--format") {
    words = "auto ";
    for (const Format* format : formats()) words += std::string(format->name()) + " ";
  }
  if (flag == "--device") words = "cpu cuda";
  if (flag == "--budget")
    for (std::string_view word : EnumWords<BudgetRule>::values) words += std::string(word) + " ";
  for (const Method& method : methods())
    for (const OptionInfo& info : method.options) {
      std::string name = "--" + info.name;
      std::replace(name.begin(), name.end(), '_', '-');
      if (name == flag && words.empty())
        for (const std::string& choice : info.choices) words += choice + " ";
    }
  return words;
}

std::vector<Command> command_table(const CLI::App& app) {
  std::vector<Command> table;
  for (const CLI::App* command : app.get_subcommands({})) {
    Command row{command->get_name(), command->get_description(), {}};
    for (const CLI::Option* option : command->get_options())
      for (const std::string& name : option->get_lnames())
        row.flags.push_back(
            {"--" + name, option->get_description(), words_after("--" + name), option->get_items_expected() > 0});
    table.push_back(std::move(row));
  }
  return table;
}

std::string bash_script(const std::vector<Command>& table) {
  std::string commands, cases, values;
  for (const Command& command : table) {
    commands += command.name + " ";
    std::string flags;
    for (const Flag& flag : command.flags) {
      flags += flag.name + " ";
      if (!flag.words.empty() && values.find("    " + flag.name + ")") == std::string::npos)
        values +=
            fmt::format("    {}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return;;\n", flag.name, flag.words);
    }
    cases += fmt::format("    {}) flags=\"{}\";;\n", command.name, flags);
  }
  return fmt::format(
      "_halftone() {{\n  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\" "
      "flags=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    COMPREPLY=($(compgen -W \"{}--help --version\" -- \"$word\")); "
      "return\n  fi\n"
      "  case \"$before\" in\n{}  esac\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}    completion) flags=\"bash zsh fish\";;\n  esac\n"
      "  if [[ \"$word\" == -* || \"${{COMP_WORDS[1]}}\" == completion ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n  else\n    COMPREPLY=($(compgen -f -- \"$word\"))\n  "
      "fi\n}}\n"
      "complete -o filenames -F _halftone halftone\n",
      commands, values, cases);
}

/// Text inside a zsh or fish string in single quotes.
std::string quoted(std::string text, std::string_view quote) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += quote.size())
    text.replace(at, 1, quote);
  return text;
}

/// zsh's _arguments gives meaning to brackets and colons.
std::string zsh_text(std::string text) {
  for (char& c : text) {
    if (c == '[') c = '(';
    if (c == ']') c = ')';
    if (c == ':') c = ';';
  }
  return quoted(std::move(text), "'\\''");
}

std::string zsh_script(const std::vector<Command>& table) {
  std::string commands, cases;
  for (const Command& command : table) {
    commands += fmt::format("    '{}:{}'\n", command.name, zsh_text(command.help));
    std::string specs;
    for (const Flag& flag : command.flags) {
      const std::string value = !flag.takes_value    ? ""
                                : flag.words.empty() ? ":value:_files"
                                                     : ":value:(" + flag.words + ")";
      specs += fmt::format(" \\\n        '{}[{}]{}'", flag.name, zsh_text(flag.help), value);
    }
    specs += command.name == "completion" ? " '1:shell:(bash zsh fish)'" : " '*:file:_files'";
    cases += fmt::format("    {})\n      _arguments{}\n      ;;\n", command.name, specs);
  }
  return fmt::format(
      "#compdef halftone\n_halftone() {{\n  local -a commands\n  commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n{}  esac\n}}\n"
      "if [ \"$funcstack[1]\" = _halftone ]; then _halftone \"$@\"; else compdef _halftone halftone; fi\n",
      commands, cases);
}

std::string fish_script(const std::vector<Command>& table) {
  std::string text;
  for (const Command& command : table) {
    text += fmt::format("complete -c halftone -n __fish_use_subcommand -f -a {} -d '{}'\n", command.name,
                        quoted(command.help, "\\'"));
    for (const Flag& flag : command.flags) {
      const std::string value = !flag.takes_value ? "" : flag.words.empty() ? " -r" : " -x -a '" + flag.words + "'";
      text += fmt::format("complete -c halftone -n '__fish_seen_subcommand_from {}' -l {}{} -d '{}'\n", command.name,
                          flag.name.substr(2), value, quoted(flag.help, "\\'"));
    }
  }
  return text + "complete -c halftone -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n";
}

}  // namespace

void add_completion(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("completion", "Prints a completion script: source <(halftone completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell] {
    const std::vector<Command> table = command_table(app);
    print(*shell == "bash" ? bash_script(table) : *shell == "zsh" ? zsh_script(table) : fish_script(table));
  });
}

}  // namespace halftone::cli
