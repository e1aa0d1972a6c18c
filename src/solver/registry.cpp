// Every method that the command, the C interface and recipes know by name.
// To add one: its header, its test, a line in the table. See docs/adding_a_solver.md.
#include "halftone/solver/best.hpp"
#include "halftone/solver/gptq.hpp"
#include "halftone/solver/gptqt.hpp"
#include "halftone/solver/gptqv2.hpp"
#include "halftone/solver/owq.hpp"
#include "halftone/solver/quantizer_of.hpp"
#include "halftone/solver/rtn.hpp"

namespace halftone {

std::span<const Method> methods() {
  static const std::vector<Method> table = {
      method_of<RtnSolver<float, Cpu>>(), method_of<GptqSolver<float, Cpu>>(),  method_of<GptqV2Solver<float, Cpu>>(),
      method_of<OwqSolver<float, Cpu>>(), method_of<GptqtSolver<float, Cpu>>(), method_of<BestSolver<float, Cpu>>(),
  };
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
