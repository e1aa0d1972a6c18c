// What every trainable quantiser has in common: the result so far, its columns by group, outlier columns, and the
// loops over rows.
#pragma once

#include "halftone/tune/trainable.hpp"

namespace halftone::tune {

/// Columns [first, last) of one group, none of them an outlier.
struct Segment {
  Index group, first, last;
};

/// Values and gradients of one kind, [rows, width].
struct Parameters {
  std::string_view name;
  Matrix<float> values, gradients;
  double rate;

  Parameters(std::string_view its_name, Index rows, Index width, double its_rate, float value = 0)
      : name(its_name), values(rows, width, value), gradients(rows, width, 0.0f), rate(its_rate) {}
  ParameterGroup group() {
    const auto size = static_cast<std::size_t>(values.size());
    return {name, {values.data(), size}, {gradients.data(), size}, rate};
  }
};

/// How far inside a cell latent numbers start at least, in steps of the grid: more than rounding in float moves them.
inline constexpr float cell_margin = 0x1p-10f;

/// The number nearest to `latent` in the cell of the integer `code`, code ± 1/2, at least `margin` (0 .. 1/2) and
/// cell_margin from its edges.
float into_cell(float latent, float code, double margin);

/// The code that a latent number means: the nearest integer in 0 .. top, halves to even.
inline float nearest_code(float latent, float top) {
  const float code = round_half_even(latent);
  return code < 0 ? 0 : code > top ? top : code;
}

/// The type that rounding functions want. Throws Status::Unsupported for what no scale is stored in.
ScaleType stored_type(DType type);

/// The loops over rows. A derived class says how one row of θ becomes codes and grid, and what one row of dW means.
class TrainedMatrix : public Trainable {
 public:
  TrainedMatrix(const Context<Cpu>& context, const QuantizedMatrix& start, const TrainableOptions& options);

  Index rows() const final { return now_.rows(); }
  Index cols() const final { return now_.cols(); }
  std::vector<ParameterGroup> parameters() final;
  void forward(MatrixView<float> W) final;
  void backward(MatrixView<const float> dW) final;
  QuantizedMatrix result() final;

 protected:
  /// The kinds of parameters that the class adds to those of outlier columns.
  virtual std::vector<Parameters*> own_parameters() = 0;
  /// Moves row r of θ onto its bounds, and writes its codes and grid into now().
  virtual void encode_row(Index r) = 0;
  /// Adds to the gradients of row r. now() is that of the last encode_row. dW [in]
  virtual void add_gradients(Index r, const float* dW) = 0;

  QuantizedMatrix& now() { return now_; }
  const std::vector<Segment>& segments() const { return segments_; }
  const Context<Cpu>& context() const { return *context_; }

 private:
  void encode_outliers(Index r);
  void decode_row(Index r, float* W) const;

  const Context<Cpu>* context_;
  QuantizedMatrix now_;
  std::vector<Segment> segments_;
  bool train_outliers_;
  ScaleType outlier_type_ = ScaleType::F16;
  Matrix<float> outlier_start_;      // [out, outlier columns]
  std::vector<float> outlier_unit_;  // [out] mean step of the row: what a change of 1 of the parameter means
  Parameters outliers_;              // [out, outlier columns] distance from the start, in units
};

std::unique_ptr<Trainable> make_latent(const Context<Cpu>& context, MatrixView<const float> target,
                                       const QuantizedMatrix& start, const TrainableOptions& options);
std::unique_ptr<Trainable> make_lsq(const Context<Cpu>& context, MatrixView<const float> target,
                                    const QuantizedMatrix& start, const TrainableOptions& options);
std::unique_ptr<Trainable> make_sign_round(const Context<Cpu>& context, MatrixView<const float> target,
                                           const QuantizedMatrix& start, const TrainableOptions& options);
std::unique_ptr<Trainable> make_binary(const Context<Cpu>& context, MatrixView<const float> target,
                                       const QuantizedMatrix& start, const TrainableOptions& options);

}  // namespace halftone::tune
