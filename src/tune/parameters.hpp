// Values and gradients of one kind of parameter, in a backend's memory.
#pragma once

#include <utility>  // as_const

#include "halftone/backend/arrange.hpp"
#include "halftone/quant/quantized_matrix.hpp"
#include "halftone/tune/trainable.hpp"

namespace halftone::tune {

/// [rows, width]; all start at `value`, gradients at 0.
template <class Backend>
struct Parameters {
  using Matrix = typename Backend::template Matrix<float>;
  std::string_view name;
  Matrix values, gradients;
  double rate;

  Parameters(const Context<Backend>& context, std::string_view its_name, Index rows, Index width, double its_rate,
             float value = 0)
      : name(its_name),
        values(context.template allocate<float>(rows, width)),
        gradients(context.template allocate<float>(rows, width)),
        rate(its_rate) {
    fill(context, values.view(), value);
    set_zero(context, gradients.view());
  }
  ParameterGroup group() {
    const auto size = static_cast<std::size_t>(values.size());
    return {name, {values.data(), size}, {gradients.data(), size}, rate};
  }
};

/// The type that rounding functions want. Throws Status::Unsupported for what no scale is stored in.
inline ScaleType stored_type(DType type) {
  if (const auto stored = scale_type_of(type)) return *stored;
  fail(Status::Unsupported, "tune: numbers of a grid are stored as ", dtype_name(type), ", wanted f16, bf16 or f32");
}

}  // namespace halftone::tune
