// What there is: versions, methods, options, formats, features. All of it lives as long as the process.
#include <memory>
#include <vector>

#include "convert.hpp"
#include "halftone/backend/cpu.hpp"
#include "halftone/backend/cuda.hpp"
#include "halftone/core/version.hpp"
#include "halftone/format/format.hpp"
#include "halftone/solver/quantizer.hpp"
#include "handle.hpp"

using namespace halftone;
using namespace halftone::capi;

namespace {

struct OptionRow {
  std::vector<const char*> choices;
  ht_option option{};
};

struct MethodRow {
  std::string name, help, paper;
  std::vector<std::unique_ptr<OptionRow>> options;
};

OptionRow option_row(const OptionInfo& info) {
  OptionRow row;
  for (const std::string& choice : info.choices) row.choices.push_back(choice.c_str());
  ht_option& option = row.option;
  option.type = static_cast<std::int32_t>(info.type);
  option.name = info.name.c_str();
  option.default_value = info.default_value.c_str();
  option.help = info.help.c_str();
  option.minimum = info.minimum;
  option.maximum = info.maximum;
  option.choice_count = static_cast<std::uint32_t>(row.choices.size());
  return row;
}

/// The registry's rows with everything as C strings. Points into the registry, which is never destroyed before it.
const std::vector<MethodRow>& method_rows() {
  static const std::vector<MethodRow> rows = [] {
    std::vector<MethodRow> made;
    for (const Method& method : methods()) {
      MethodRow row{std::string(method.name), std::string(method.help), std::string(method.paper), {}};
      for (const OptionInfo& info : method.options) {
        row.options.push_back(std::make_unique<OptionRow>(option_row(info)));
        row.options.back()->option.choices = row.options.back()->choices.data();
      }
      made.push_back(std::move(row));
    }
    return made;
  }();
  return rows;
}

struct NamedText {
  std::string name, text;
};

const std::vector<NamedText>& format_rows() {
  static const std::vector<NamedText> rows = [] {
    std::vector<NamedText> made;
    for (const Format* format : formats()) made.push_back({std::string(format->name()), std::string(format->help())});
    return made;
  }();
  return rows;
}

const std::vector<NamedText>& feature_rows() {
  static const std::vector<NamedText> rows = [] {
    const Context<Cpu> context;
#if defined(_OPENMP)
    const char* const openmp = "yes";
#else
    const char* const openmp = "no";
#endif
    return std::vector<NamedText>{{"isa", context.isa()},
                                  {"products", context.products()},
                                  {"threads", std::to_string(context.threads())},
                                  {"openmp", openmp},
                                  {"cuda", cuda_devices().problem.empty() ? "yes" : "no"},
                                  {"cuda_devices", cuda_devices_text()}};
  }();
  return rows;
}

template <class Row>
const Row& row_at(const std::vector<Row>& rows, std::uint32_t index, const char* who) {
  require(index < rows.size(), Status::NotFound, who, ": index is ", index, " of ", rows.size());
  return rows[index];
}

}  // namespace

const char* ht_version(void) { return library_version().data(); }  // a literal: ends in NUL

uint32_t ht_abi_version(void) { return HT_ABI_MAJOR * 65536u + HT_ABI_MINOR; }

const char* ht_status_name(ht_status status) { return status_name(static_cast<Status>(status)).data(); }

ht_status ht_method_get(uint32_t index, ht_method* method) {
  return guarded(nullptr, [&] {
    const MethodRow& row = row_at(method_rows(), index, "ht_method_get");
    ht_method out{};
    out.option_count = static_cast<std::uint32_t>(row.options.size());
    out.name = row.name.c_str();
    out.help = row.help.c_str();
    out.paper = row.paper.c_str();
    write_struct(method, method_size, out, "ht_method_get: method");
  });
}

ht_status ht_option_get(const char* method, uint32_t index, ht_option* option) {
  return guarded(nullptr, [&] {
    require_given(method, "ht_option_get: method");
    const MethodRow& row = method_rows()[static_cast<std::size_t>(&find_method(method) - methods().data())];
    write_struct(option, option_size, row_at(row.options, index, "ht_option_get")->option, "ht_option_get: option");
  });
}

ht_status ht_format_get(uint32_t index, ht_format* format) {
  return guarded(nullptr, [&] {
    const NamedText& row = row_at(format_rows(), index, "ht_format_get");
    ht_format out{};
    out.name = row.name.c_str();
    out.help = row.text.c_str();
    write_struct(format, format_size, out, "ht_format_get: format");
  });
}

ht_status ht_feature_get(uint32_t index, ht_feature* feature) {
  return guarded(nullptr, [&] {
    const NamedText& row = row_at(feature_rows(), index, "ht_feature_get");
    ht_feature out{};
    out.name = row.name.c_str();
    out.value = row.text.c_str();
    write_struct(feature, feature_size, out, "ht_feature_get: feature");
  });
}
