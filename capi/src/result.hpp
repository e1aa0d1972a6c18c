// ht_result: a quantised matrix, and what formats want to know of its origin.
#pragma once

#include <string>
#include <string_view>

#include "context.hpp"
#include "halftone/core/dtype.hpp"
#include "halftone/quant/quantized_matrix.hpp"

struct ht_result final : halftone::capi::MadeFromContext {
  ht_result(std::shared_ptr<halftone::capi::Shared> shared, halftone::QuantizedMatrix made, std::string_view method,
            halftone::DType dtype)
      : MadeFromContext(std::move(shared)), matrix(std::move(made)), method(method), dtype(dtype) {}

  halftone::QuantizedMatrix matrix;
  std::string method;
  halftone::DType dtype;  ///< of the original weights
};
