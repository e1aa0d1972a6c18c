// Any solver as a Quantizer, and as a row of the registry. A program may wrap a solver of its own the same way.
#pragma once

#include "halftone/solver/quantizer.hpp"
#include "halftone/solver/solver.hpp"

namespace halftone {

/// Sums of the host in a backend's memory: H, D, and what was held out.
template <class Backend>
InputStatistics<float, Backend> statistics_on(const Context<Backend>& context, const InputStatistics<float>& host) {
  if (host.moments() == Moments::None) return {context, host.width(), Moments::None};
  auto H = context.upload(host.second_moments().view());
  if (host.moments() == Moments::Second)
    return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H), {}, host.products());
  auto D = context.upload(host.cross_moments().view());
  if (host.held_out() == nullptr)
    return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H), std::move(D),
                                                      host.products());
  return InputStatistics<float, Backend>::from_sums(context, host.tokens(), std::move(H), std::move(D),
                                                    statistics_on(context, *host.held_out()));
}

/// A quantizer whose sums and weights may also be in a backend's memory already.
template <class Backend>
class QuantizerOn : public Quantizer {
 public:
  using Quantizer::prepare, Quantizer::quantize;
  /// As those of the host's; these copy nothing.
  virtual std::unique_ptr<Prepared> prepare(const InputStatistics<float, Backend>& statistics) const = 0;
  virtual QuantizedMatrix quantize(const typename Backend::template Matrix<float>& W,
                                   const Prepared& prepared) const = 0;
};

/// What a solver in float says of itself, and what it derived from sums. Base: Quantizer or QuantizerOn<Backend>.
template <class T, class Backend, class Base>
requires SolverFor<T, float, Backend>
class QuantizerFace : public Base {
 public:
  QuantizerFace(const Context<Backend>& context, const typename T::Options& options)
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

 protected:
  /// `copied`: the backend's copy of the host's sums, which must live as long; none where `statistics` are the
  /// caller's.
  struct Held final : Prepared {
    Held(const QuantizerFace& maker, const InputStatistics<float, Backend>& statistics)
        : maker(&maker), value(maker.solver_.prepare(statistics)) {}
    Held(const QuantizerFace& maker, std::unique_ptr<InputStatistics<float, Backend>> own)
        : maker(&maker), copied(std::move(own)), value(maker.solver_.prepare(*copied)) {}
    const QuantizerFace* maker;
    std::unique_ptr<InputStatistics<float, Backend>> copied;
    typename T::Prepared value;
  };
  void require_moments(Moments held) const {
    require(held >= moments(), Status::InvalidArgument, T::name, ": the statistics hold moments ",
            static_cast<int>(held), ", wanted ", static_cast<int>(moments()),
            " (0: none, 1: second, 2: second and cross, 3: those and a part held out)");
  }
  QuantizedMatrix solve(MatrixView<const float> W, const Prepared& prepared) const {
    const auto* held = dynamic_cast<const Held*>(&prepared);
    require(held != nullptr && held->maker == this, Status::InvalidArgument, T::name,
            ": what prepare() of another quantizer made was given, wanted this one's");
    return solver_.quantize(W, held->value);
  }
  const Context<Backend>& context() const { return *context_; }

 private:
  const Context<Backend>* context_;
  T solver_;
};

/// T: a solver in float on `Backend`.
template <class T, class Backend = Cpu>
class QuantizerOf final : public QuantizerFace<T, Backend, QuantizerOn<Backend>> {
 public:
  using Face = QuantizerFace<T, Backend, QuantizerOn<Backend>>;
  using Face::Face, Face::prepare, Face::quantize;

  std::unique_ptr<Prepared> prepare(const InputStatistics<float>& statistics) const override {
    this->require_moments(statistics.moments());
    using There = InputStatistics<float, Backend>;
    return std::make_unique<typename Face::Held>(*this,
                                                 std::make_unique<There>(statistics_on(this->context(), statistics)));
  }
  std::unique_ptr<Prepared> prepare(const InputStatistics<float, Backend>& statistics) const override {
    this->require_moments(statistics.moments());
    return std::make_unique<typename Face::Held>(*this, statistics);
  }
  QuantizedMatrix quantize(MatrixView<const float> W, const Prepared& prepared) const override {
    return this->solve(this->context().upload(W).view(), prepared);
  }
  QuantizedMatrix quantize(const typename Backend::template Matrix<float>& W, const Prepared& prepared) const override {
    return this->solve(W.view(), prepared);
  }
};

/// The same on the CPU, where the host's memory is the backend's.
template <class T>
class QuantizerOf<T, Cpu> final : public QuantizerFace<T, Cpu, Quantizer> {
 public:
  using Face = QuantizerFace<T, Cpu, Quantizer>;
  using Face::Face, Quantizer::quantize;

  std::unique_ptr<Prepared> prepare(const InputStatistics<float>& statistics) const override {
    this->require_moments(statistics.moments());
    return std::make_unique<typename Face::Held>(*this, statistics);
  }
  QuantizedMatrix quantize(MatrixView<const float> W, const Prepared& prepared) const override {
    return this->solve(W, prepared);
  }
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
