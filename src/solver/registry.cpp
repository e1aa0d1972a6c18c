// The registry: every method that the command, the C interface and recipes know by name.
#include "halftone/solver/quantizer_of.hpp"
#include "solver/method_list.hpp"

namespace halftone {

std::span<const Method> methods() {
  static const std::vector<Method> table = [] {
    std::vector<Method> rows;
    each_method<Cpu>([&](auto solver) { rows.push_back(method_of<typename decltype(solver)::type>()); });
    return rows;
  }();
  return table;
}

const Method& find_method(std::string_view name) {
  std::string known;
  for (const Method& method : methods()) {
    if (method.name == name) return method;
    known += (known.empty() ? "" : ", ") + std::string(method.name);
  }
  fail(Status::NotFound, "there is no method '", name, "', wanted one of ", known);
}

std::unique_ptr<Quantizer> make_quantizer(const Context<Cpu>& context, std::string_view method,
                                          const OptionMap& options) {
  return find_method(method).make(context, options);
}

}  // namespace halftone
