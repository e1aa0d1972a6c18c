// Trainables on the CPU, and what training on any backend may start from.
#include "halftone/tune/trainable.hpp"

#include "tune/make_trainable.impl.hpp"
#include "tune/row_loops.hpp"

namespace halftone {
namespace tune {
namespace {

constexpr const char* who = "tune";

void require_shape(const char* what, Index rows, Index cols, Index wanted_rows, Index wanted_cols) {
  require(rows == wanted_rows && cols == wanted_cols, Status::ShapeMismatch, who, ": ", what, " is ", rows, " x ", cols,
          ", wanted ", wanted_rows, " x ", wanted_cols);
}

void check_groups(const QuantizedMatrix& start) {
  require(start.group_index.empty() || static_cast<Index>(start.group_index.size()) == start.cols(),
          Status::ShapeMismatch, who, ": ", start.group_index.size(), " group indices for ", start.cols(), " columns");
  require(start.group_size() > 0, Status::InvalidData, who, ": groups are of ", start.group_size(),
          " columns, wanted 1 or more");
  for (Index j = 0; j < start.cols(); ++j)
    require(start.group_of(j) >= 0 && start.group_of(j) < start.groups(), Status::InvalidData, who, ": column ", j,
            " is of group ", start.group_of(j), ", wanted 0 .. ", start.groups() - 1);
}

void check_codes(const QuantizedMatrix& start) {
  require(start.bits() >= 1 && start.bits() <= 8, Status::InvalidData, who, ": codes have ", start.bits(),
          " bits, wanted 1 .. 8");
  const int top = (1 << start.bits()) - 1;
  for (Index r = 0; r < start.rows(); ++r)
    for (Index j = 0; j < start.cols(); ++j)
      require(start.codes(r, j) <= top, Status::InvalidData, who, ": the code at row ", r, ", column ", j, " is ",
              static_cast<int>(start.codes(r, j)), ", wanted 0 .. ", top);
}

void check_grid(const UniformGrid& grid, Index rows, int minimum_zero) {
  require_shape("scales", grid.scales.rows(), grid.scales.cols(), rows, grid.groups());
  require_shape("zeros", grid.zeros.rows(), grid.zeros.cols(), rows, grid.groups());
  const int top = (1 << grid.bits) - 1, lowest = grid.symmetric ? 0 : minimum_zero;
  for (Index r = 0; r < rows; ++r)
    for (Index g = 0; g < grid.groups(); ++g) {
      const float scale = grid.scales(r, g);
      require(scale > 0 && scale - scale == 0, Status::InvalidData, who, ": the scale of row ", r, ", group ", g,
              " is ", scale, ", wanted a positive number");
      require(grid.zeros(r, g) >= lowest && grid.zeros(r, g) <= top, Status::InvalidData, who, ": the zero of row ", r,
              ", group ", g, " is ", static_cast<int>(grid.zeros(r, g)), ", wanted ", lowest, " .. ", top);
    }
}

void check_grid(const BinaryGrid& grid, Index rows, int) {
  require_shape("alphas", grid.alphas.rows(), grid.alphas.cols(), rows, grid.groups() * grid.bits);
  require_shape("biases", grid.biases.rows(), grid.biases.cols(), rows, grid.groups());
  for (Index r = 0; r < rows; ++r)
    for (Index i = 0; i < grid.alphas.cols(); ++i) {
      const float alpha = grid.alphas(r, i);
      require(alpha >= 0 && alpha - alpha == 0, Status::InvalidData, who, ": alpha ", i, " of row ", r, " is ", alpha,
              ", wanted 0 or more");
    }
}

void check_outliers(const QuantizedMatrix& start) {
  const OutlierColumns& outliers = start.outliers;
  if (outliers.columns.empty()) return;
  require_shape("values of outlier columns", outliers.values.rows(), outliers.values.cols(), start.rows(),
                static_cast<Index>(outliers.columns.size()));
  for (const std::int32_t column : outliers.columns)
    require(column >= 0 && column < start.cols(), Status::InvalidData, who, ": outlier column ", column,
            ", wanted 0 .. ", start.cols() - 1);
}

}  // namespace

void check_start(Index target_rows, Index target_cols, const QuantizedMatrix& start, const TrainableOptions& options) {
  require_shape("the target", target_rows, target_cols, start.rows(), start.cols());
  require(options.margin >= 0 && options.margin <= 0.5, Status::InvalidArgument, who, ": option 'margin' is ",
          options.margin, ", wanted 0 .. 0.5");
  check_codes(start);
  std::visit([&](const auto& grid) { check_grid(grid, start.rows(), options.minimum_zero); }, start.grid);
  check_groups(start);
  check_outliers(start);
  const bool latent = options.kind == TrainableKind::Latent || options.kind == TrainableKind::Scales;
  require(!start.binary_coded() || latent, Status::Unsupported, who, ": option 'trainable' is '", word_of(options.kind),
          "' for a binary-coded grid, wanted latent or scales");
}

}  // namespace tune

template std::unique_ptr<Trainable> make_trainable(const Context<Cpu>&, MatrixView<const float>, const QuantizedMatrix&,
                                                   const TrainableOptions&);

}  // namespace halftone
