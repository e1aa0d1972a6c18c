// The activations of an MLP.
#pragma once

#include <cstdint>
#include <string_view>

#include "halftone/core/options.hpp"

namespace halftone {

enum class Activation : std::int32_t {
  Relu = 0,
  Silu = 1,      ///< x·σ(x)
  Gelu = 2,      ///< x·Φ(x), with erf
  GeluTanh = 3,  ///< x/2·(1 + tanh(√(2/π)(x + 0.044715x³)))
};
template <>
struct EnumWords<Activation> {
  static constexpr std::string_view values[] = {"relu", "silu", "gelu", "gelu_tanh"};
};

}  // namespace halftone
