// Reading JSON objects of a known shape: every key is asked for by name, and what was not asked for is refused.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "halftone/core/error.hpp"

namespace halftone {

/// One object being read. Messages name `who` and the key's path ("/layers/0/match").
class JsonFields {
 public:
  JsonFields(const nlohmann::json& object, std::string who, std::string path)
      : object_(object), who_(std::move(who)), path_(std::move(path)) {
    require(object.is_object(), Status::InvalidData, who_, ": ", path_.empty() ? "the document" : path_, " is ",
            object.type_name(), ", wanted an object");
  }

  /// The value of an optional key; null where it is absent.
  const nlohmann::json* find(const char* key) {
    asked_.insert(key);
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
  }
  /// Reads an optional key into `value`, which stays as it is where the key is absent.
  template <class T>
  void read(const char* key, T& value) {
    const nlohmann::json* found = find(key);
    if (found == nullptr) return;
    if constexpr (std::is_same_v<T, std::string>) {
      check(found->is_string(), key, *found, "a string");
    } else if constexpr (std::is_same_v<T, bool>) {
      check(found->is_boolean(), key, *found, "true or false");
    } else if constexpr (std::is_floating_point_v<T>) {
      check(found->is_number(), key, *found, "a number");
    } else {
      check(found->is_number_integer(), key, *found, "a whole number");
      if (std::is_unsigned_v<T>) check(found->is_number_unsigned(), key, *found, "a number from 0 on");
    }
    value = found->get<T>();
  }
  /// As read, for a value that need not be; null leaves it open too.
  template <class T>
  void read(const char* key, std::optional<T>& value) {
    const nlohmann::json* found = find(key);
    if (found == nullptr || found->is_null()) return;
    T given{};
    read(key, given);
    value = given;
  }
  /// Refuses keys that nobody asked for.
  void finish() const {
    for (const auto& [key, value] : object_.items())
      require(asked_.count(key) != 0, Status::InvalidData, who_, ": unknown key ", path_, "/", key, ", wanted one of ",
              known());
  }
  void check(bool ok, const char* key, const nlohmann::json& got, const char* wanted) const {
    if (!ok) fail(Status::InvalidData, who_, ": ", path_, "/", key, " is ", got.dump(), ", wanted ", wanted);
  }
  const std::string& who() const { return who_; }
  std::string path_of(const char* key) const { return path_ + "/" + key; }

 private:
  std::string known() const {
    std::string list;
    for (const std::string& key : asked_) list += (list.empty() ? "" : ", ") + key;
    return list;
  }

  const nlohmann::json& object_;
  std::string who_, path_;
  std::set<std::string> asked_;
};

}  // namespace halftone
