#include "tune/trained_matrix.hpp"

#include <algorithm>  // clamp, max
#include <array>

namespace halftone::tune {

namespace {

constexpr Index rows_per_piece = 4;

/// Runs of columns of one group, without outliers.
std::vector<Segment> segments_of(const QuantizedMatrix& matrix) {
  std::vector<bool> outlier(static_cast<std::size_t>(matrix.cols()), false);
  for (const std::int32_t column : matrix.outliers.columns) outlier[static_cast<std::size_t>(column)] = true;
  std::vector<Segment> segments;
  for (Index j = 0; j < matrix.cols(); ++j) {
    if (outlier[static_cast<std::size_t>(j)]) continue;
    const Index group = matrix.group_of(j);
    if (!segments.empty() && segments.back().last == j && segments.back().group == group)
      ++segments.back().last;
    else
      segments.push_back({group, j, j + 1});
  }
  return segments;
}

/// Mean distance of neighbouring values of the grids of row r; 1e-5 where there is none.
float mean_step(const QuantizedMatrix& matrix, Index r) {
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

}  // namespace

float into_cell(float latent, float code, double margin) {
  const float reach = 0.5f - std::max(static_cast<float>(margin), cell_margin);
  return std::clamp(latent, code - reach, code + reach);
}

ScaleType stored_type(DType type) {
  if (const auto stored = scale_type_of(type)) return *stored;
  fail(Status::Unsupported, "tune: numbers of a grid are stored as ", dtype_name(type), ", wanted f16, bf16 or f32");
}

TrainedMatrix::TrainedMatrix(const Context<Cpu>& context, const QuantizedMatrix& start, const TrainableOptions& options)
    : context_(&context),
      now_(start),
      segments_(segments_of(start)),
      train_outliers_(options.outliers && !start.outliers.columns.empty()),
      outlier_start_(start.outliers.values),
      outliers_("outliers", train_outliers_ ? start.rows() : 0, start.outliers.values.cols(), 1) {
  if (!train_outliers_) return;
  outlier_type_ = stored_type(start.outliers.dtype);
  for (Index r = 0; r < rows(); ++r) outlier_unit_.push_back(mean_step(start, r));
}

std::vector<ParameterGroup> TrainedMatrix::parameters() {
  std::vector<ParameterGroup> groups;
  for (Parameters* parameters : own_parameters()) groups.push_back(parameters->group());
  if (train_outliers_) groups.push_back(outliers_.group());
  return groups;
}

void TrainedMatrix::encode_outliers(Index r) {
  for (Index k = 0; k < outlier_start_.cols(); ++k) {
    const float moved = outlier_unit_[static_cast<std::size_t>(r)] * outliers_.values(r, k);
    now_.outliers.values(r, k) = round_stored(outlier_start_(r, k) + moved, outlier_type_);
  }
}

void TrainedMatrix::decode_row(Index r, float* W) const {
  const std::uint8_t* codes = now_.codes.row(r);
  for (const Segment& segment : segments_) {
    if (now_.binary_coded()) {
      const BinaryGrid& grid = now_.binary();
      const float* alphas = grid.alphas.row(r) + segment.group * grid.bits;
      const float bias = grid.biases(r, segment.group);
      std::array<float, 1 << max_planes> values;  // of every code
      const bool many = segment.last - segment.first > 1 << grid.bits;
      for (unsigned code = 0; many && code < 1u << grid.bits; ++code)
        values[code] = decode_binary(code, alphas, 1, bias, grid.bits);
      for (Index j = segment.first; j < segment.last; ++j)
        W[j] = many ? values[codes[j]] : decode_binary(codes[j], alphas, 1, bias, grid.bits);
    } else {
      const UniformGrid& grid = now_.uniform();
      const float scale = grid.scales(r, segment.group), zero = static_cast<float>(grid.zeros(r, segment.group));
      for (Index j = segment.first; j < segment.last; ++j) W[j] = decode(static_cast<float>(codes[j]), scale, zero);
    }
  }
  for (std::size_t k = 0; k < now_.outliers.columns.size(); ++k)
    W[now_.outliers.columns[k]] = now_.outliers.values(r, static_cast<Index>(k));
}

void TrainedMatrix::forward(MatrixView<float> W) {
  require(W.rows == rows() && W.cols == cols(), Status::ShapeMismatch, "tune: W is ", W.rows, " x ", W.cols,
          ", wanted ", rows(), " x ", cols());
  parallel_pieces(context_->threads(), rows(), rows_per_piece, [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) {
      encode_row(r);
      if (train_outliers_) encode_outliers(r);
      decode_row(r, W.row(r));
    }
  });
}

void TrainedMatrix::backward(MatrixView<const float> dW) {
  require(dW.rows == rows() && dW.cols == cols(), Status::ShapeMismatch, "tune: dW is ", dW.rows, " x ", dW.cols,
          ", wanted ", rows(), " x ", cols());
  parallel_pieces(context_->threads(), rows(), rows_per_piece, [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) {
      add_gradients(r, dW.row(r));
      if (!train_outliers_) continue;
      for (std::size_t k = 0; k < now_.outliers.columns.size(); ++k)
        outliers_.gradients(r, static_cast<Index>(k)) +=
            dW(r, now_.outliers.columns[k]) * outlier_unit_[static_cast<std::size_t>(r)];
    }
  });
}

QuantizedMatrix TrainedMatrix::result() {
  parallel_pieces(context_->threads(), rows(), rows_per_piece, [&](Index first, Index last) {
    for (Index r = first; r < last; ++r) {
      encode_row(r);
      if (train_outliers_) encode_outliers(r);
    }
  });
  return now_;
}

}  // namespace halftone::tune
