// The solvers on the CUDA backend, compiled once: the same templates as on the CPU.
#include "halftone/backend/cuda_primitives.hpp"
#include "halftone/solver/cuda_quantizer.hpp"
#include "halftone/solver/diffusion_solver.impl.hpp"
#include "halftone/solver/quantizer_of.hpp"
#include "solver/method_list.hpp"

namespace halftone {

template class DiffusionSolver<float, Cuda>;

namespace {

/// A context and a quantizer on it.
class OwningQuantizer final : public Quantizer {
 public:
  OwningQuantizer(const CudaOptions& options, std::string_view method, const OptionMap& map)
      : context_(options), quantizer_(make_quantizer(context_, method, map)) {}

  std::string_view name() const override { return quantizer_->name(); }
  Moments moments() const override { return quantizer_->moments(); }
  const GridOptions& grid() const override { return quantizer_->grid(); }
  bool act_order() const override { return quantizer_->act_order(); }
  bool group_index() const override { return quantizer_->group_index(); }
  Index outlier_columns(Index cols) const override { return quantizer_->outlier_columns(cols); }
  bool binary_coded() const override { return quantizer_->binary_coded(); }
  OptionMap options() const override { return quantizer_->options(); }
  std::unique_ptr<Prepared> prepare(const InputStatistics<float>& statistics) const override {
    return quantizer_->prepare(statistics);
  }
  QuantizedMatrix quantize(MatrixView<const float> W, const Prepared& prepared) const override {
    return quantizer_->quantize(W, prepared);
  }

 private:
  Context<Cuda> context_;
  std::unique_ptr<QuantizerOn<Cuda>> quantizer_;
};

}  // namespace

std::unique_ptr<Quantizer> make_quantizer(const CudaOptions& context, std::string_view method,
                                          const OptionMap& options) {
  return std::make_unique<OwningQuantizer>(context, method, options);
}

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
