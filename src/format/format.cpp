#include "halftone/format/format.hpp"

#include <nlohmann/json.hpp>

#include "halftone/core/error.hpp"

namespace halftone {

Matrix<float> Format::stored_values(const MatrixPlan&, const QuantizedMatrix& matrix) const {
  return dequantize(matrix);
}

namespace {

/// Throws for the first element in which two matrices differ.
template <class T>
void compare(const Matrix<T>& stored, const Matrix<T>& solved, std::string_view what, std::string_view module) {
  require(stored.rows() == solved.rows() && stored.cols() == solved.cols(), Status::Internal, module, ": ", what,
          " read back as [", stored.rows(), ", ", stored.cols(), "], written as [", solved.rows(), ", ", solved.cols(),
          "]");
  if (stored == solved) return;
  for (Index i = 0; i < stored.rows(); ++i)
    for (Index j = 0; j < stored.cols(); ++j)
      if (stored(i, j) != solved(i, j))
        fail(Status::Internal, module, ": ", what, " at row ", i, ", column ", j, " read back as ", +stored(i, j),
             ", written as ", +solved(i, j));
}

}  // namespace

void Format::verify(const MatrixPlan& plan, const QuantizedMatrix& matrix, const TensorSource& source,
                    const Json& config) const {
  const auto stored = decode(source, config, plan.module);
  require(stored != nullptr, Status::Internal, plan.module, ": not found in ", source.origin({}),
          " as a matrix of format ", name());
  compare(stored->codes, matrix.codes, "codes", plan.module);
  compare(stored->grid.scales, matrix.grid.scales, "scales", plan.module);
  compare(stored->grid.zeros, matrix.grid.zeros, "zeros", plan.module);
  require(same_codes(*stored, matrix), Status::Internal, plan.module, ": groups or bits read back differently");
}

std::vector<std::pair<std::string, std::string>> Format::side_files(const Json&) const { return {}; }

}  // namespace halftone
