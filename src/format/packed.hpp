// What the formats that store codes share: words and scales in and out of tensors, and settings of config files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "halftone/core/error.hpp"
#include "halftone/format/format.hpp"

namespace halftone::detail {

/// "<module>.<suffix>"
std::string tensor_name(std::string_view module, std::string_view suffix);

/// Throws Status::Internal if the solver's result is not the matrix that was planned.
void check_result(const MatrixPlan& plan, const QuantizedMatrix& matrix);
/// Throws Status::Unsupported, naming module, got and wanted, unless the bits are one of `allowed` and no columns stay
/// outside the codes and these are uniform.
void check_codes(const Format& format, const MatrixPlan& plan, std::span<const int> allowed);

void send(const TensorSink& sink, const std::string& name, const Matrix<std::uint32_t>& words);
/// As elements of `type`. Throws Status::Unsupported, naming the tensor, for a scale that it does not hold.
void send(const TensorSink& sink, const std::string& name, const Matrix<float>& values, DType type);

/// Rows and columns of a two-dimensional tensor of 32-bit words with at least one. Throws Status::InvalidData.
std::pair<Index, Index> words_shape(const TensorSource& source, const std::string& name);
/// The tensor itself.
Matrix<std::uint32_t> read_words(const TensorSource& source, const std::string& name);
/// A tensor of integers (I32 or I64), one-dimensional. Throws Status::InvalidData.
std::vector<std::int64_t> read_integers(const TensorSource& source, const std::string& name);
/// Reads [in] group numbers below `groups`. Throws Status::InvalidData.
std::vector<std::int32_t> read_group_index(const TensorSource& source, const std::string& name, Index in, Index groups);
/// Sets group_size and group_index from the group of each column: an index only where groups are not consecutive
/// columns of one size.
void set_groups(QuantizedMatrix& matrix, std::vector<std::int32_t> group_of_column);
/// True if every zero is 2^(bits−1).
bool all_middle(const UniformGrid& grid);

template <class T>
Matrix<T> transposed_copy(const Matrix<T>& matrix) {
  Matrix<T> result(matrix.cols(), matrix.rows());
  for (Index i = 0; i < matrix.rows(); ++i)
    for (Index j = 0; j < matrix.cols(); ++j) result(j, i) = matrix(i, j);
  return result;
}

/// Throws Status::Internal, naming module and place, for the first element in which two matrices differ.
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

/// How a matrix is quantised, as far as config files say it.
struct Setting {
  int bits = 0;
  std::int64_t group_size = 0;  ///< -1: whole rows
  bool symmetric = false, act_order = false, group_index = false;

  explicit Setting(const MatrixPlan& plan)
      : bits(plan.grid.bits),
        group_size(plan.grid.group_size),
        symmetric(plan.grid.symmetric),
        act_order(plan.act_order),
        group_index(plan.group_index) {}
  auto operator<=>(const Setting&) const = default;
};

/// Modules by setting.
using Settings = std::map<Setting, std::vector<std::string>>;
/// The setting of most modules; the first of equals. `settings` is not empty.
const Setting& most_common(const Settings& settings);

/// The entry of an object, null if there is none or `object` is none.
const Json* find_key(const Json& object, std::string_view key);
/// An integer entry of an object, or `missing`.
std::int64_t integer_or(const Json& object, std::string_view key, std::int64_t missing);

}  // namespace halftone::detail
