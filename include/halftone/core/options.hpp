// One declaration per option drives validation, the command line, the C setters, JSON and the documentation.
//
// An options struct lists its fields once:
//
//   struct GptqOptions {
//     double damping = 0.01;
//     template <class Self, class Visitor>
//     static void fields(Self& self, Visitor&& visit) {
//       visit(real("damping", self.damping, 0, 1, "λ / mean(diag H); `percdamp` in the GPTQ code"));
//     }
//   };
//
// and describe_options<GptqOptions>(), set_option(options, "damping", "0.02"), option_text(options, "damping") and
// validate_options("gptq", options) follow. Structs compose: a `fields` calls another struct's `fields`.
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "halftone/core/error.hpp"

namespace halftone {

enum class OptionType : std::int32_t { Flag = 0, Integer = 1, Real = 2, Choice = 3 };

/// What a program can ask about an option. `minimum`, `maximum` bound Integer and Real; `choices` lists Choice's
/// words, and what a Real may be beside a number ("auto").
struct OptionInfo {
  std::string name;  ///< snake_case; the command spells it --like-this
  OptionType type = OptionType::Flag;
  double minimum = 0, maximum = 0;
  std::vector<std::string> choices;
  std::string default_value;  ///< as text, what set_option accepts
  std::string help;           ///< one line, with the paper's symbol where there is one
};

/// Words of an enumeration whose enumerators are 0, 1, 2, ...; specialise `values` next to the enum.
template <class E>
struct EnumWords;

template <class E>
concept WordedEnum = std::is_enum_v<E> && requires {
  EnumWords<E>::values;
};

template <WordedEnum E>
constexpr std::string_view word_of(E value) {
  return EnumWords<E>::values[static_cast<std::size_t>(value)];
}

template <WordedEnum E>
std::optional<E> parse_word(std::string_view text) {
  for (std::size_t i = 0; i < std::size(EnumWords<E>::values); ++i)
    if (EnumWords<E>::values[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

/// A number, or "auto": the method chooses it.
struct RealOrAuto {
  double value = 0;
  bool automatic = false;

  constexpr RealOrAuto() = default;
  constexpr RealOrAuto(double number) : value(number) {}  // NOLINT: numbers convert
  static constexpr RealOrAuto chosen() {
    RealOrAuto option;
    option.automatic = true;
    return option;
  }
  friend bool operator==(const RealOrAuto&, const RealOrAuto&) = default;
};

/// One field of an options struct while it is being visited. T may be const.
template <class T>
struct OptionField {
  using value_type = std::remove_const_t<T>;
  std::string_view name;
  T& value;
  double minimum = 0, maximum = 0;
  std::string_view help;
};

template <class T>
requires std::same_as < std::remove_const_t<T>,
bool > OptionField<T> flag(std::string_view name, T& value, std::string_view help) { return {name, value, 0, 1, help}; }
template <class T>
requires(std::integral<T> && !std::same_as<std::remove_const_t<T>, bool>)
    OptionField<T> integer(std::string_view name, T& value, double minimum, double maximum, std::string_view help) {
  return {name, value, minimum, maximum, help};
}
template <class T>
requires std::floating_point<T> OptionField<T> real(std::string_view name, T& value, double minimum, double maximum,
                                                    std::string_view help) {
  return {name, value, minimum, maximum, help};
}
template <class T>
requires std::same_as<std::remove_const_t<T>, RealOrAuto> OptionField<T> real_or_auto(std::string_view name, T& value,
                                                                                      double minimum, double maximum,
                                                                                      std::string_view help) {
  return {name, value, minimum, maximum, help};
}
template <class T>
requires WordedEnum<std::remove_const_t<T>> OptionField<T> choice(std::string_view name, T& value,
                                                                  std::string_view help) {
  return {name, value, 0, 0, help};
}

namespace detail {

template <class T>
std::string option_to_text(const T& value) {
  if constexpr (std::same_as<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (WordedEnum<T>) {
    return std::string(word_of(value));
  } else if constexpr (std::same_as<T, RealOrAuto>) {
    return value.automatic ? "auto" : option_to_text(value.value);
  } else {
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return std::string(buffer, end);
  }
}

template <class T>
bool option_from_text(std::string_view text, T& value) {
  if constexpr (std::same_as<T, bool>) {
    if (text != "true" && text != "false" && text != "1" && text != "0") return false;
    value = text == "true" || text == "1";
    return true;
  } else if constexpr (WordedEnum<T>) {
    const auto word = parse_word<T>(text);
    if (word) value = *word;
    return word.has_value();
  } else if constexpr (std::same_as<T, RealOrAuto>) {
    value.automatic = text == "auto";
    return value.automatic || option_from_text(text, value.value);
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }
}

template <class T>
std::string wanted(const OptionField<T>& field) {
  using Value = std::remove_const_t<T>;
  if constexpr (std::same_as<Value, bool>) {
    return "true or false";
  } else if constexpr (WordedEnum<Value>) {
    std::string list;
    for (std::string_view word : EnumWords<Value>::values) list += (list.empty() ? "" : ", ") + std::string(word);
    return "one of " + list;
  } else {
    return concat(field.minimum, " .. ", field.maximum, std::same_as<Value, RealOrAuto> ? " or auto" : "");
  }
}

template <class T>
bool in_bounds(const OptionField<T>& field) {
  if constexpr (std::is_arithmetic_v<std::remove_const_t<T>> && !std::same_as<std::remove_const_t<T>, bool>) {
    const auto value = static_cast<double>(field.value);
    return value >= field.minimum && value <= field.maximum;  // false for NaN
  } else if constexpr (std::same_as<std::remove_const_t<T>, RealOrAuto>) {
    return field.value.automatic || (field.value.value >= field.minimum && field.value.value <= field.maximum);
  } else {
    return true;
  }
}

template <class T>
OptionInfo describe(const OptionField<T>& field) {
  using Value = std::remove_const_t<T>;
  OptionInfo info{.name = std::string(field.name),
                  .minimum = field.minimum,
                  .maximum = field.maximum,
                  .choices = {},
                  .default_value = option_to_text<Value>(field.value),
                  .help = std::string(field.help)};
  if constexpr (std::same_as<Value, bool>) {
    info.type = OptionType::Flag;
  } else if constexpr (WordedEnum<Value>) {
    info.type = OptionType::Choice;
    for (std::string_view word : EnumWords<Value>::values) info.choices.emplace_back(word);
  } else if constexpr (std::same_as<Value, RealOrAuto>) {
    info.type = OptionType::Real;
    info.choices = {"auto"};
  } else {
    info.type = std::integral<Value> ? OptionType::Integer : OptionType::Real;
  }
  return info;
}

}  // namespace detail

/// Every option of `Options` with its bounds and default, in declaration order.
template <class Options>
std::vector<OptionInfo> describe_options() {
  std::vector<OptionInfo> list;
  const Options defaults{};
  Options::fields(defaults, [&](const auto& field) { list.push_back(detail::describe(field)); });
  return list;
}

/// Sets one option from text. False if there is no option of that name; throws Status::InvalidArgument, naming `who`,
/// if the text is no value of its type or is out of bounds (the option then keeps its value).
template <class Options>
bool set_option(std::string_view who, Options& options, std::string_view name, std::string_view text) {
  bool found = false;
  Options::fields(options, [&](auto field) {
    if (field.name != name) return;
    found = true;
    auto value = field.value;
    bool ok = detail::option_from_text(text, value);
    if (ok) {
      std::swap(field.value, value);
      ok = detail::in_bounds(field);
      if (!ok) std::swap(field.value, value);
    }
    require(ok, Status::InvalidArgument, who, ": option '", name, "' is '", text, "', wanted ", detail::wanted(field));
  });
  return found;
}

/// The present value of an option as text; nothing if there is no option of that name.
template <class Options>
std::optional<std::string> option_text(const Options& options, std::string_view name) {
  std::optional<std::string> text;
  Options::fields(options, [&](const auto& field) {
    if (field.name == name) text = detail::option_to_text(field.value);
  });
  return text;
}

/// Throws Status::InvalidArgument, naming `who`, for the first field that is out of its bounds.
template <class Options>
void validate_options(std::string_view who, const Options& options) {
  Options::fields(options, [&](const auto& field) {
    require(detail::in_bounds(field), Status::InvalidArgument, who, ": option '", field.name, "' is ",
            detail::option_to_text(field.value), ", wanted ", detail::wanted(field));
  });
}

}  // namespace halftone
