// A matrix in training. What differs between the kinds is a class that owns their parameters in the backend's memory
// and hands out a struct of pointers, Kind::Rows, whose functions say what one group of one row does:
//
//   begin_group(r, g)             before the first step, where a kind needs it
//   start(team, r, g, target)     latent numbers from the weights that the codes stand for
//   encode_group(r, g)            moves the grid's parameters onto their bounds, and stores the grid that they mean
//   encode(team, r, g, W)         the same of latent numbers: codes, and W where it is wanted
//   add(team, r, g, dW)           adds to the gradients
//
// Rows never read each other. A backend runs them through start_rows, encode_rows and add_row_gradients.
#pragma once

#include "tune/binary.hpp"
#include "tune/latent.hpp"
#include "tune/lsq.hpp"
#include "tune/outliers.hpp"
#include "tune/sign_round.hpp"

namespace halftone::tune {

/// How many grids there are.
struct GridShape {
  Index rows, groups;
};

template <class Rows>
concept BeginsGroups = requires(const Rows& rows) {
  rows.begin_group(Index{0}, Index{0});
};

/// What is left of a matrix when its numbers are with the backend: shapes of groups, names of types, report.
inline QuantizedMatrix frame_of(const QuantizedMatrix& matrix) {
  QuantizedMatrix frame;
  if (matrix.binary_coded()) {
    const BinaryGrid& grid = matrix.binary();
    frame.grid = BinaryGrid{grid.bits, grid.group_size, grid.scale_type, {}, {}};
  } else {
    const UniformGrid& grid = matrix.uniform();
    frame.grid = UniformGrid{grid.bits, grid.symmetric, grid.group_size, grid.scale_type, {}, {}};
  }
  frame.group_index = matrix.group_index;
  frame.outliers.columns = matrix.outliers.columns;
  frame.outliers.dtype = matrix.outliers.dtype;
  frame.report = matrix.report;
  return frame;
}

template <class Backend, template <class> class Kind>
class TrainedMatrix final : public Trainable {
 public:
  TrainedMatrix(const Context<Backend>& context, MatrixView<const float> target, const QuantizedMatrix& start,
                const TrainableOptions& options)
      : context_(&context),
        frame_(frame_of(start)),
        columns_(context, start),
        codes_(context.upload(start.codes.view())),
        outliers_(context, start, options),
        kind_(context, target, start, options),
        groups_(start.groups()) {
    start_rows(context, grids(), kind_rows(), target, static_cast<float>(options.margin));
  }

  Index rows() const override { return codes_.rows(); }
  Index cols() const override { return codes_.cols(); }

  std::vector<ParameterGroup> parameters() override {
    std::vector<ParameterGroup> groups;
    for (Parameters<Backend>* parameters : kind_.parameters()) groups.push_back(parameters->group());
    if (outliers_.trained()) groups.push_back(outliers_.parameters().group());
    return groups;
  }
  void forward(MatrixView<float> W) override {
    require_shape("W", W.rows, W.cols);
    encode(W);
  }
  void backward(MatrixView<const float> dW) override {
    require_shape("dW", dW.rows, dW.cols);
    add_row_gradients(*context_, grids(), kind_rows(), outliers_.rows(), dW);
  }
  QuantizedMatrix result() override {
    encode({});
    QuantizedMatrix matrix = frame_;
    matrix.codes = context_->download(std::as_const(codes_).view());
    kind_.to(*context_, matrix);
    outliers_.to(*context_, matrix.outliers);
    return matrix;
  }

 private:
  typename Kind<Backend>::Rows kind_rows() { return kind_.rows(columns_.runs(), codes_.view()); }
  GridShape grids() const { return {rows(), groups_}; }
  void encode(MatrixView<float> W) { encode_rows(*context_, grids(), kind_rows(), outliers_.rows(), W); }
  void require_shape(const char* what, Index got_rows, Index got_cols) const {
    require(got_rows == rows() && got_cols == cols(), Status::ShapeMismatch, "tune: ", what, " is ", got_rows, " x ",
            got_cols, ", wanted ", rows(), " x ", cols());
  }

  const Context<Backend>* context_;
  QuantizedMatrix frame_;
  Columns<Backend> columns_;
  typename Backend::template Matrix<std::uint8_t> codes_;  // [out, in]
  Outliers<Backend> outliers_;
  Kind<Backend> kind_;
  Index groups_;
};

}  // namespace halftone::tune
