// The solvers on the CUDA backend, compiled once: the same templates as on the CPU.
#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "halftone/solver/diffusion_solver.impl.hpp"
#include "halftone/solver/quantizer_of.hpp"
#include "solver/method_list.hpp"

namespace halftone {

template class DiffusionSolver<float, Cuda>;

std::unique_ptr<QuantizerOn<Cuda>> make_quantizer(const Context<Cuda>& context, std::string_view method,
                                                  const OptionMap& options) {
  find_method(method);  // throws, with the list of names
  std::unique_ptr<QuantizerOn<Cuda>> made;
  each_method<Cuda>([&](auto solver) {
    using T = typename decltype(solver)::type;
    if (T::name == method)
      made = std::make_unique<QuantizerOf<T, Cuda>>(context, options_from<typename T::Options>(T::name, options));
  });
  return made;
}

}  // namespace halftone
