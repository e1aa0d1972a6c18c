// Values of outlier columns, trained as distances from the start in mean steps of the row (weak-column tuning of OWQ,
// arXiv 2306.02272), or as they are.
#pragma once

#include "tune/parameters.hpp"

namespace halftone::tune {

struct OutlierRows {
  const std::int32_t* columns;  ///< [count] ascending
  Index count;
  const float *start, *units;  ///< [out, count], and what a change of 1 means, [out]
  float* values;               ///< [out, count] as they are stored
  float *moved, *gradients;    ///< [out, count]; null: not trained
  ScaleType type;

  HALFTONE_HOST_DEVICE void encode(Index r, Index k, float* W) const {
    const Index at = r * count + k;
    if (moved != nullptr) values[at] = round_stored(start[at] + units[r] * moved[at], type);
    if (W != nullptr) W[columns[k]] = values[at];
  }
  HALFTONE_HOST_DEVICE void add(Index r, Index k, const float* dW) const {
    gradients[r * count + k] += dW[columns[k]] * units[r];
  }
};

/// Mean distance of neighbouring values of the grids of row r; 1e-5 where there is none.
inline float mean_step(const QuantizedMatrix& matrix, Index r) {
  double sum = 0;
  if (matrix.binary_coded()) {
    const BinaryGrid& grid = matrix.binary();
    for (Index i = 0; i < grid.alphas.cols(); ++i) sum += 2 * static_cast<double>(grid.alphas(r, i));
    sum /= static_cast<double>((1 << grid.bits) - 1);
  } else {
    for (Index g = 0; g < matrix.groups(); ++g) sum += static_cast<double>(matrix.uniform().scales(r, g));
  }
  return sum > 0 ? static_cast<float>(sum / static_cast<double>(matrix.groups())) : 1e-5f;
}

/// Owns them in the backend's memory.
template <class Backend>
class Outliers {
 public:
  Outliers(const Context<Backend>& context, const QuantizedMatrix& start, const TrainableOptions& options)
      : trained_(options.outliers && !start.outliers.columns.empty()),
        start_(context.upload(start.outliers.values.view())),
        values_(context.upload(start.outliers.values.view())),
        moved_(context, "outliers", trained_ ? start.rows() : 0, start.outliers.values.cols(), 1) {
    const std::vector<std::int32_t>& columns = start.outliers.columns;
    columns_ = context.upload(MatrixView<const std::int32_t>(columns.data(), 1, static_cast<Index>(columns.size())));
    if (!trained_) return;
    type_ = stored_type(start.outliers.dtype);
    Matrix<float> units(1, start.rows());
    for (Index r = 0; r < start.rows(); ++r) units(0, r) = mean_step(start, r);
    units_ = context.upload(std::as_const(units).view());
  }

  bool trained() const { return trained_; }
  Parameters<Backend>& parameters() { return moved_; }
  OutlierRows rows() {
    return {columns_.data(), columns_.cols(),      start_.data(),           units_.data(),
            values_.data(),  moved_.values.data(), moved_.gradients.data(), type_};
  }
  void to(const Context<Backend>& context, OutlierColumns& outliers) const {
    outliers.values = context.download(values_.view());
  }

 private:
  template <class T>
  using Owned = typename Backend::template Matrix<T>;
  bool trained_;
  ScaleType type_ = ScaleType::F16;
  Owned<std::int32_t> columns_;
  Owned<float> start_, values_, units_;
  Parameters<Backend> moved_;
};

}  // namespace halftone::tune
