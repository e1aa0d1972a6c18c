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
  require(stored->binary_coded() == matrix.binary_coded(), Status::Internal, plan.module,
          ": read back as another kind of grid");
  if (matrix.binary_coded()) {
    detail::compare(stored->binary().alphas, matrix.binary().alphas, "alphas", plan.module);
    detail::compare(stored->binary().biases, matrix.binary().biases, "biases", plan.module);
  } else {
    detail::compare(stored->uniform().scales, matrix.uniform().scales, "scales", plan.module);
    detail::compare(stored->uniform().zeros, matrix.uniform().zeros, "zeros", plan.module);
  }
  require(same_codes(*stored, matrix), Status::Internal, plan.module,
          ": groups, bits or outlier columns read back differently");
}

std::vector<std::pair<std::string, std::string>> Format::side_files(const Json&) const { return {}; }

}  // namespace halftone
