#include <nlohmann/json.hpp>

#include "convert.hpp"
#include "halftone/format/format.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "result.hpp"
#include "statistics.hpp"

namespace halftone::capi {

/// What a quantizer has derived from statistics, and from which.
struct PreparedFor {
  std::shared_ptr<const ht_statistics::Sums> sums;
  std::uint64_t version = 0;
  std::unique_ptr<Prepared> prepared;

  bool fits(const ht_statistics& statistics) const {
    return prepared != nullptr && sums == statistics.sums && version == statistics.version;
  }
};

/// Statistics without a sum, for methods that need none.
ht_statistics::Sums no_sums(const Context<Cpu>& context, Index width) { return {context, width, Moments::None}; }

}  // namespace halftone::capi

using namespace halftone;
using namespace halftone::capi;

struct ht_quantizer final : MadeFromContext {
  ht_quantizer(std::shared_ptr<Shared> from, const char* method)
      : MadeFromContext(std::move(from)),
        method(find_method(method)),
        device(shared()->device()),
        options(this->method.make(context(), {})->options()) {}

  const Method& method;
  const ComputeDevice device;
  OptionMap options;

  /// The quantizer with the options as they are; throws what they contradict.
  const Quantizer& made() {
    if (quantizer_ == nullptr)
      quantizer_ = device.cuda ? make_quantizer(CudaOptions{device.ordinal, device.memory_limit}, method.name, options)
                               : method.make(context(), options);
    return *quantizer_;
  }
  /// Options changed: what was made of the old ones is gone.
  void changed(OptionMap next) {
    options = std::move(next);
    prepared_ = {};
    quantizer_.reset();
  }
  const Prepared& prepared_for(const ht_statistics& statistics) {
    if (!prepared_.fits(statistics)) {
      prepared_ = {};
      prepared_ = {statistics.sums, statistics.version, made().prepare(*statistics.sums)};
    }
    return *prepared_.prepared;
  }

 private:
  std::unique_ptr<Quantizer> quantizer_;
  PreparedFor prepared_;
};

namespace {

const OptionInfo& option_of(const Method& method, std::string_view name) {
  std::string known;
  for (const OptionInfo& info : method.options) {
    if (info.name == name) return info;
    known += (known.empty() ? "" : ", ") + info.name;
  }
  fail(Status::NotFound, method.name, ": there is no option '", name, "', wanted one of ", known);
}

/// Whether a single option has a legal value: the others at their defaults. Options that contradict each other are
/// found when all of them are set.
void check_option(const Context<Cpu>& context, const Method& method, std::string_view name, const char* value) {
  try {
    method.make(context, {{std::string(name), value}});
  } catch (const Error& error) {
    if (error.status() != Status::Unsupported) throw;
  }
}

void log_notes(const ht_quantizer& self, const SolveReport& report) {
  for (const std::string& note : report.notes) self.log(HT_LOG_WARNING, note.c_str());
}

}  // namespace

ht_status ht_quantizer_create(ht_context* context, const char* method, ht_quantizer** quantizer) {
  return on_handle(context, Use::Read, "ht_quantizer_create: context", [&](ht_context& self) {
    require_given(method, "ht_quantizer_create: method");
    require_given(quantizer, "ht_quantizer_create: quantizer");
    give_out(quantizer, self.shared(), method);
  });
}

void ht_quantizer_destroy(ht_quantizer* quantizer) { dismiss(quantizer); }

ht_status ht_quantizer_set(ht_quantizer* quantizer, const char* option, const char* value) {
  return on_handle(quantizer, Use::Change, "ht_quantizer_set: quantizer", [&](ht_quantizer& self) {
    require_given(option, "ht_quantizer_set: option");
    require_given(value, "ht_quantizer_set: value");
    option_of(self.method, option);
    check_option(self.context(), self.method, option, value);
    OptionMap next = self.options;
    next[option] = value;
    self.changed(std::move(next));
  });
}

ht_status ht_quantizer_set_format(ht_quantizer* quantizer, const char* format, int32_t dtype) {
  return on_handle(quantizer, Use::Change, "ht_quantizer_set_format: quantizer", [&](ht_quantizer& self) {
    require_given(format, "ht_quantizer_set_format: format");
    const Format& wanted = find_format(format);
    GridOptions grid = self.made().grid();
    wanted.adapt(grid, dtype_from(dtype, "ht_quantizer_set_format: dtype"), false);
    OptionMap next = self.options;
    GridOptions::fields(grid, [&](const auto& field) {
      if (next.contains(field.name)) next[std::string(field.name)] = detail::option_to_text(field.value);
    });
    self.changed(std::move(next));
  });
}

ht_status ht_quantizer_text(const ht_quantizer* quantizer, const char* option, char* buffer, size_t capacity,
                            size_t* length) {
  return on_handle(quantizer, Use::Read, "ht_quantizer_text: quantizer", [&](ht_quantizer& self) {
    require_given(option, "ht_quantizer_text: option");
    write_text(self.options.at(option_of(self.method, option).name), buffer, capacity, length);
  });
}

ht_status ht_quantizer_moments(const ht_quantizer* quantizer, int32_t* moments) {
  return on_handle(quantizer, Use::Change, "ht_quantizer_moments: quantizer", [&](ht_quantizer& self) {
    require_given(moments, "ht_quantizer_moments: moments");
    *moments = static_cast<std::int32_t>(self.made().moments());
  });
}

ht_status ht_quantizer_run(ht_quantizer* quantizer, const ht_matrix* W, const ht_statistics* statistics,
                           ht_result** result) {
  return on_handle(quantizer, Use::Change, "ht_quantizer_run: quantizer", [&](ht_quantizer& self) {
    require_given(result, "ht_quantizer_run: result");
    const FloatInput weights(W, "ht_quantizer_run: W");
    const Quantizer& made = self.made();
    const auto give = [&](QuantizedMatrix solved) {
      log_notes(self, solved.report);
      give_out(result, self.shared(), std::move(solved), made.name(), weights.dtype());
    };
    if (statistics == nullptr) {
      require(made.moments() == Moments::None, Status::InvalidArgument, "ht_quantizer_run: statistics is NULL, and ",
              made.name(), " needs moments ", static_cast<int>(made.moments()));
      const auto none = no_sums(self.context(), weights.view().cols);
      return give(made.quantize(weights.view(), none));
    }
    const auto given = live(statistics, "ht_quantizer_run: statistics");
    const Use use(*given, Use::Read, "ht_quantizer_run: statistics");
    give(made.quantize(weights.view(), self.prepared_for(*given)));
  });
}
