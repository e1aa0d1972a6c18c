// Any solver as a Quantizer, and as a row of the registry. A program may wrap a solver of its own the same way.
#pragma once

#include "halftone/solver/quantizer.hpp"
#include "halftone/solver/solver.hpp"

namespace halftone {

/// Sums of the host in a backend's memory: H, D, and what was held out. On the CPU there is nothing to do.
template <class Backend>
InputStatistics<float, Backend> statistics_on(const Context<Backend>& context, const InputStatistics<float>& host) {
  if (host.moments() == Moments::None) return {context, host.width(), Moments::None};
  auto H = context.upload(host.second_moments().view());
  if (host.moments() == Moments::Second)
    return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H));
  auto D = context.upload(host.cross_moments().view());
  if (host.held_out() == nullptr)
    return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H), std::move(D));
  return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H), std::move(D),
                                                    statistics_on(context, *host.held_out()));
}

/// T: a solver in float on `Backend`.
template <class T, class Backend = Cpu>
requires SolverFor<T, float, Backend>
class QuantizerOf final : public Quantizer {
 public:
  QuantizerOf(const Context<Backend>& context, const typename T::Options& options)
      : context_(&context), solver_(context, options) {}

  std::string_view name() const override { return T::name; }
  Moments moments() const override { return solver_.moments(); }
  const GridOptions& grid() const override { return solver_.grid(); }
  bool act_order() const override {
    if constexpr (requires { solver_.act_order(); })
      return solver_.act_order();
    else
      return false;
  }
  bool group_index() const override {
    if constexpr (requires { solver_.group_index(); })
      return solver_.group_index();
    else
      return false;
  }
  Index outlier_columns(Index cols) const override {
    if constexpr (requires { solver_.outlier_columns(cols); })
      return solver_.outlier_columns(cols);
    else
      return 0;
  }
  bool binary_coded() const override {
    if constexpr (requires { solver_.binary_coded(); })
      return solver_.binary_coded();
    else
      return false;
  }
  OptionMap options() const override {
    OptionMap map;
    T::Options::fields(solver_.options(),
                       [&](const auto& field) { map[std::string(field.name)] = detail::option_to_text(field.value); });
    return map;
  }

  std::unique_ptr<Prepared> prepare(const InputStatistics<float>& statistics) const override {
    require(statistics.moments() >= moments(), Status::InvalidArgument, T::name, ": the statistics hold moments ",
            static_cast<int>(statistics.moments()), ", wanted ", static_cast<int>(moments()),
            " (0: none, 1: second, 2: second and cross, 3: those and a part held out)");
    return std::make_unique<Held>(*this, statistics);
  }
  using Quantizer::quantize;
  QuantizedMatrix quantize(MatrixView<const float> W, const Prepared& prepared) const override {
    const auto* held = dynamic_cast<const Held*>(&prepared);
    require(held != nullptr && held->maker == this, Status::InvalidArgument, T::name,
            ": what prepare() of another quantizer made was given, wanted this one's");
    if constexpr (std::is_same_v<Backend, Cpu>)
      return solver_.quantize(W, held->value);
    else
      return solver_.quantize(context_->upload(W).view(), held->value);
  }

 private:
  /// The statistics where the solver reads them; on the CPU those that were given.
  using Statistics =
      std::conditional_t<std::is_same_v<Backend, Cpu>, const InputStatistics<float>&, InputStatistics<float, Backend>>;
  struct Held final : Prepared {
    Held(const QuantizerOf& maker, const InputStatistics<float>& given)
        : maker(&maker), statistics(there(maker, given)), value(maker.solver_.prepare(statistics)) {}
    static Statistics there(const QuantizerOf& maker, const InputStatistics<float>& given) {
      if constexpr (std::is_same_v<Backend, Cpu>)
        return given;
      else
        return statistics_on(*maker.context_, given);
    }
    const QuantizerOf* maker;
    Statistics statistics;
    typename T::Prepared value;
  };
  const Context<Backend>* context_;
  T solver_;
};

/// Options struct from text. Throws Status::InvalidArgument for unknown names, with the known ones, and for bad values.
template <class Options>
Options options_from(std::string_view who, const OptionMap& map) {
  Options options;
  for (const auto& [name, text] : map) {
    if (set_option(who, options, name, text)) continue;
    std::string known;
    for (const OptionInfo& info : describe_options<Options>()) known += (known.empty() ? "" : ", ") + info.name;
    fail(Status::InvalidArgument, who, ": there is no option '", name, "', wanted one of ", known);
  }
  return options;
}

/// The registry's row of a solver.
template <Solver T>
Method method_of() {
  return {T::name, T::help, T::paper, describe_options<typename T::Options>(),
          [](const Context<Cpu>& context, const OptionMap& map) -> std::unique_ptr<Quantizer> {
            return std::make_unique<QuantizerOf<T>>(context, options_from<typename T::Options>(T::name, map));
          }};
}

}  // namespace halftone
