// Checked access to the keys of a config.json.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"
#include "halftone/core/view.hpp"
#include "halftone/format/json.hpp"

namespace halftone::detail {

inline constexpr Index largest_size = Index{1} << 30;  // of a width or a vocabulary: their products fit in 63 bits
inline constexpr Index most_blocks = 1 << 16, largest_head = 1 << 16;

/// What a config says under a key, as short text for messages.
inline std::string excerpt(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

/// Reads keys of one JSON object. A null counts as missing. Every failure is Status::InvalidData and names key, got,
/// wanted.
class ConfigReader {
 public:
  /// `path`: put in front of keys in messages, "rope_parameters.".
  explicit ConfigReader(const Json& object, std::string path = "") : object_(object), path_(std::move(path)) {}

  /// Null if the key is missing.
  const Json* find(std::string_view key) const {
    const auto found = object_.find(std::string(key));
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  Index integer(std::string_view key, Index minimum, Index maximum, std::optional<Index> otherwise = {}) const {
    const Json* value = find(key);
    if (value == nullptr && otherwise) return *otherwise;
    const bool fits = value != nullptr && value->is_number_integer() &&
                      !(value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{INT64_MAX});
    const Index number = fits ? value->get<Index>() : 0;
    check(fits && number >= minimum && number <= maximum, key, concat("an integer ", minimum, " .. ", maximum));
    return number;
  }
  double real(std::string_view key, double minimum, double maximum, std::optional<double> otherwise = {}) const {
    const Json* value = find(key);
    if (value == nullptr && otherwise) return *otherwise;
    const double number = value != nullptr && value->is_number() ? value->get<double>() : -1;
    check(value != nullptr && value->is_number() && number >= minimum && number <= maximum, key,
          concat("a number ", minimum, " .. ", maximum));
    return number;
  }
  bool flag(std::string_view key, bool otherwise) const {
    const Json* value = find(key);
    if (value == nullptr) return otherwise;
    check(value->is_boolean(), key, "true or false");
    return value->get<bool>();
  }
  /// Empty where the key is missing.
  std::string text(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    check(value->is_string(), key, "a string");
    return value->get<std::string>();
  }
  /// The object under `key`, or nothing.
  std::optional<ConfigReader> object(std::string_view key) const {
    const Json* value = find(key);
    if (value == nullptr) return {};
    check(value->is_object(), key, "an object");
    return ConfigReader(*value, path_ + std::string(key) + ".");
  }

  /// Throws unless `condition` holds: "config.json: 'KEY' is GOT, wanted WANTED".
  void check(bool condition, std::string_view key, std::string_view wanted, Status status = Status::InvalidData) const {
    if (condition) return;
    const Json* value = find(key);
    fail(status, "config.json: '", path_, key, "' is ", value == nullptr ? "missing" : excerpt(*value), ", wanted ",
         wanted);
  }

 private:
  const Json& object_;
  std::string path_;
};

}  // namespace halftone::detail
