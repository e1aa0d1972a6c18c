#include "halftone/format/format.hpp"

#include <nlohmann/json.hpp>

#include "format/packed.hpp"
#include "halftone/core/error.hpp"

namespace halftone {

Matrix<float> Format::stored_values(const MatrixPlan&, const QuantizedMatrix& matrix) const {
  return dequantize(matrix);
}

void Format::verify(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSource& source,
                    const Json& config) const {
  const auto stored = decode(source, config, plan.module);
  require(stored != nullptr, Status::Internal, plan.module, ": not found in ", source.origin({}),
          " as a matrix of format ", name());
  detail::compare(stored->codes, matrix.codes, "codes", plan.module);
  detail::compare(stored->grid.scales, matrix.grid.scales, "scales", plan.module);
  detail::compare(stored->grid.zeros, matrix.grid.zeros, "zeros", plan.module);
  require(same_codes(*stored, matrix), Status::Internal, plan.module, ": groups or bits read back differently");
}

std::vector<std::pair<std::string, std::string>> Format::side_files(const Json&) const { return {}; }

}  // namespace halftone
